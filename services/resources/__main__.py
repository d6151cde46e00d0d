from runtime.process import run
from services.resources.app import serve

run(serve)
