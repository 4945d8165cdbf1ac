# The traceback of the exception that a thread has stopped for: of all that was
# called, also below the frame that is shown first, and of the exceptions that
# led to it. The latest call comes first, as in debugpy.
#
# Runs once, in the stopped thread; `names` is the namespace of the server's
# debugger module. Nothing is imported and nothing replaced, and no line is
# changed of what the program will do.

MOST_FRAMES = 200
MOST_CHAINED = 10

sys = names['sys']
linecache = names['traceback'].linecache


def reported():
    """The frame that raised, and what it raised: they are in the server's
    function that was told of it, which waits."""
    frame = sys._getframe()
    while frame.f_code.co_name != 'handle_exception' or frame.f_globals is not names:
        frame = frame.f_back
    return frame.f_locals['frame'], frame.f_locals['arg']


def callers(frame):
    """Those of a frame, without the server's code."""
    found = []
    frame = frame.f_back
    while frame is not None and frame.f_code not in names.get('DEBUG_ENTRYPOINTS', ()):
        if names['should_send_frame'](frame):
            found.append((frame, frame.f_lineno))
        frame = frame.f_back
    return found


def called(trace):
    """What a traceback holds, the latest call first."""
    found = []
    while trace is not None:
        found.insert(0, (trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return found


def show(calls):
    lines = []
    for frame, line in calls[:MOST_FRAMES]:
        code = frame.f_code
        lines.append('  File "%s", line %d, in %s\n' % (code.co_filename, line, code.co_name))
        text = linecache.getline(code.co_filename, line, frame.f_globals).strip()
        if text:
            lines.append('    %s\n' % text)
    if len(calls) > MOST_FRAMES:
        lines.append('  and %d more\n' % (len(calls) - MOST_FRAMES))
    return ''.join(lines)


def show_exception(kind, value):
    name = getattr(kind, '__qualname__', None) or getattr(kind, '__name__', str(kind))
    module = getattr(kind, '__module__', None)
    if module not in (None, '__main__', 'builtins', 'exceptions'):
        name = '%s.%s' % (module, name)
    try:
        message = str(value)
    except Exception:
        message = '<no text>'
    if message and value is not None:
        return '%s: %s\n' % (name, message)
    return name + '\n'


def chained(value):
    """The text of the exceptions before this one, the first of them first."""
    found = []
    while len(found) < MOST_CHAINED:
        before = getattr(value, '__cause__', None)
        how = 'The above exception was the direct cause of the following exception:'
        if before is None and not getattr(value, '__suppress_context__', False):
            before = getattr(value, '__context__', None)
            how = 'During handling of the above exception, another exception occurred:'
        if before is None:
            break
        text = show(called(before.__traceback__)) + show_exception(type(before), before)
        found.insert(0, '%s\n%s\n\n' % (text, how))
        value = before
    return ''.join(found)


def text():
    frame, (kind, value, trace) = reported()
    calls = called(trace) or [(frame, frame.f_lineno)]
    result = chained(value) + show(calls + callers(frame)) + show_exception(kind, value)
    # What cannot be encoded would end the session.
    if isinstance(result, bytes):
        return eval('unicode')(result, 'utf-8', 'replace')
    return result.encode('utf-8', 'replace').decode('utf-8')


result = text()
