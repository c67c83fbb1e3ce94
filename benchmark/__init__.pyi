from .evaluation import run as run
from .method import About as About
from .method import Method as Method
from .method import Support as Support
from .ranking import leaderboard as leaderboard
from .suite import load_suite as load_suite
