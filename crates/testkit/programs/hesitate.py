# The server takes its time between hearing which exceptions stop and doing so.
try:
    import ptvsd.visualstudio_py_debugger as server
except ImportError:
    import ptvsd.debugger as server


def hesitate():
    import time
    # Up to 2.1.0 it is spelled otherwise.
    name = 'clear' if hasattr(server.ExceptionBreakInfo, 'clear') else 'Clear'
    clear = getattr(server.ExceptionBreakInfo, name)

    def clear_later(self):
        time.sleep(0.05)
        clear(self)

    setattr(server.ExceptionBreakInfo, name, clear_later)


hesitate()
