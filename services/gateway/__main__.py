from runtime.process import run
from services.gateway.app import serve

run(serve)
