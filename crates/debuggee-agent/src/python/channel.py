# A private channel: an `exec` for a thread that no program has is answered by
# the agent, on the server's own thread, also while no line of the program
# runs. Every dialect can say it. Requests are words; sizes are bounded.

AGENT_THREAD = -11711
MOST_REQUEST = 65536
MOST_ANSWER = 1048576


class AgentThread(object):
    """What the server's command finds under that number."""

    _is_blocked = False

    def __init__(self):
        self.cur_frame = self
        self.f_back = self

    def run_on_thread(self, text, frame, execution, frame_kind, *kinds):
        # The last of `kinds`, if any, is how the value is to be shown; some
        # dialects have another before it.
        debugger.report_execution_result(execution, answer(text), *kinds[-1:])

    def enum_child_on_thread(self, text, frame, execution, *others):
        pass


def answer(text):
    words = text[:MOST_REQUEST].split()
    request = words and requests.get(words[0])
    if not request:
        return 'ptvsd-bridge agent: unknown request'
    return request(*words[1:])[:MOST_ANSWER]


def hello(*words):
    return 'ptvsd-bridge agent %d %s' % (VERSION, mark)


def stacks(*words):
    """Has the frames of all threads sent that have not blocked."""
    server_update()
    return 'done'


requests = {'hello': hello, 'stacks': stacks}


def take_over_threads():
    server_get = debugger.get_thread_from_id
    agent_thread = AgentThread()

    def get_thread_from_id(id):
        if id == AGENT_THREAD:
            return agent_thread
        return server_get(id)

    replaced.name('get_thread_from_id', get_thread_from_id)


# A comprehension or a lambda that is evaluated in a frame does not see the
# frame's local variables on Python 3, only its globals. So what has such a part
# is evaluated with both in one.

server_eval = eval
compiled = {}
MOST_COMPILED = 100


def evaluate(code, global_names, local_names=None):
    """In place of `eval`, for whatever the server evaluates."""
    if local_names is None or local_names is global_names:
        return server_eval(code, global_names, global_names)
    if not hasattr(code, 'co_consts'):
        # The condition of a breakpoint.
        code = compiled_once(code)
    if not asks_inside(code.co_consts, local_names):
        return server_eval(code, global_names, local_names)
    merged = dict(global_names)
    merged.update(local_names)
    before = dict(merged)
    try:
        return server_eval(code, merged)
    finally:
        # What statements have bound belongs to the frame, also what they had
        # bound before one of them failed.
        for name, value in merged.items():
            if name != '__builtins__' and before.get(name, ABSENT) is not value:
                local_names[name] = value


def compiled_once(text):
    code = compiled.get(text)
    if code is None:
        if len(compiled) >= MOST_COMPILED:
            compiled.clear()
        # As `eval` does, and `compile` does not, with space at the start.
        code = compiled[text] = compile(text.lstrip(' \t'), '<string>', 'eval')
    return code


def asks_inside(constants, local_names):
    """Whether a part that is code of its own asks for one of the names."""
    for code in constants:
        if hasattr(code, 'co_consts'):
            for name in code.co_names:
                if name in local_names:
                    return True
            if asks_inside(code.co_consts, local_names):
                return True
    return False
