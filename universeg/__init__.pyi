from .network.universeg import UniverSeg as UniverSeg
from .prediction.deciding import Prediction as Prediction
from .prediction.examples import read_support as read_support
from .prediction.segmenter import Segmenter as Segmenter
from .training.augmentation.settings import Augmentation as Augmentation
from .weights.models import load_model as load_model
