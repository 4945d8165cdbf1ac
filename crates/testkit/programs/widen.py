# The server's own steps, with a pause where a thread can be lost: before a
# thread that is about to block is marked as blocked, and between the report of
# a hit and the marking of the other threads.
try:
    import ptvsd.visualstudio_py_debugger as server
except ImportError:
    import ptvsd.debugger as server


def widen():
    import time
    tell_frames = server.Thread.enum_thread_frames_locally
    report = server.report_breakpoint_hit

    def tell_frames_slowly(self):
        tell_frames(self)
        time.sleep(0.02)

    def report_slowly(*arguments):
        report(*arguments)
        time.sleep(0.02)

    server.Thread.enum_thread_frames_locally = tell_frames_slowly
    server.report_breakpoint_hit = report_slowly


widen()
