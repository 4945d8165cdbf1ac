# Exceptions: where the servers report one, and what they take for unhandled.
#
# The bare servers
# - report what is raised once more for each frame that it leaves,
# - take the parts of Python's library that are frozen in for the program's own
#   code, and report what is raised there for that and not for the caller; up
#   to 2.1.0 that goes for all of the library,
# - do not look for handlers beyond the code that imports a module.


class Trace(object):
    """In place of a traceback: what the servers see of it, ending here."""

    tb_next = None

    def __init__(self, frame):
        self.tb_frame = frame


def is_frozen(frame):
    return frame.f_code.co_filename.startswith('<frozen ')


def is_own(frame):
    """Whether a frame is of the code that is debugged."""
    if is_frozen(frame) or not debugger.should_send_frame(frame):
        return False
    return debugger.should_debug_code(frame.f_code)


def take_over_exceptions():
    server_class = debugger.ExceptionBreakInfo
    if 'should_break' in vars(server_class):
        break_name, handled_name = 'should_break', 'is_handled'
    else:
        break_name, handled_name = 'ShouldBreak', 'IsHandled'
    server_should_break = vars(server_class)[break_name]
    server_is_handled = vars(server_class)[handled_name]

    def should_break(self, thread, kind, value, trace):
        if trace is None:
            return server_should_break(self, thread, kind, value, trace)
        if is_frozen(trace.tb_frame):
            return 0
        if trace.tb_next is not None and is_own(trace.tb_next.tb_frame):
            return 0
        return server_should_break(self, thread, kind, value, Trace(trace.tb_frame))

    def is_handled(self, thread, kind, value, trace):
        while True:
            if server_is_handled(self, thread, kind, value, trace):
                return True
            if trace is None:
                return False
            frame = trace.tb_frame
            # As far as the server has looked, and then past what imports.
            while frame is not None and debugger.should_send_frame(frame):
                frame = frame.f_back
            imports = frame
            while frame is not None and is_frozen(frame):
                frame = frame.f_back
            if frame is None or frame is imports or not debugger.should_send_frame(frame):
                return False
            trace = Trace(frame)

    replaced.attribute(server_class, break_name, should_break)
    replaced.attribute(server_class, handled_name, is_handled)
