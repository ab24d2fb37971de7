import sys
from hub.platform.settings import load
from hub.app import run
run(load())
