from .authoring.check import check as check
from .building.build import build as build
from .building.report import BuildReport as BuildReport
from .catalogue.datasets import Catalog as Catalog
from .catalogue.datasets import catalog as catalog
from .catalogue.manifest_file import read_manifest as read_manifest
from .obtaining.adopt import adopt as adopt
from .obtaining.download import download as download
from .obtaining.plan import plan as plan
from .sharing.copying import copy as copy
from .sharing.copying import merge as merge
from .store.preview import preview as preview
from .store.store import Store as Store
from .store.store import open_store as open_store
from .store.verification import verify as verify

__version__: str
