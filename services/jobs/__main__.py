from runtime.process import run
from services.jobs.app import serve

if __name__ == "__main__":
    run(serve)
