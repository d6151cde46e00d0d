from runtime.process import run
from services.config.app import serve

run(serve)
