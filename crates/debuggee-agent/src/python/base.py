# ptvsd-bridge agent: Python that ptvsd-bridge runs inside a program that hosts
# a legacy ptvsd server, for as long as it is attached.
#
# What it does to the program is in the project's README, how and why in
# protocol-notes/agent.md. All parts are run as one text, in a namespace of its
# own, in which these are given:
#
#     names      the namespace of the server's debugger module
#     mark       says which session of ptvsd-bridge put it here
#     patience   seconds without a word from the debugger that mean it is dead
#
# Rules for this code:
# - Nothing is imported: the program may hold the import lock for ever.
# - What is replaced is remembered, and put back when the debugger leaves.
# - Python 2.5 to 3.13 run the same text, so no `with`, no `as` in an `except`.

VERSION = 1

# The file name of this code. The server shows no frames of it and does not
# stop in it, because `install` adds it to the server's list of such files.
OWN_FILE = '<ptvsd-bridge agent>'

# Under this name the agent that is in charge stands in `names`.
OWN_NAME = '__ptvsd_bridge__'

# Under this one, what an agent has taken away and a thread may still be using.
UNWRAPPED_NAME = '_unwrapped_output'


class Debugger(object):
    """The names of the server's debugger module, as attributes."""

    def __getattr__(self, name):
        try:
            return names[name]
        except KeyError:
            raise AttributeError(name)

    def __setattr__(self, name, value):
        names[name] = value


debugger = Debugger()
sys = debugger.sys
socket = debugger.socket
thread = debugger.thread

# The JSON dialects have it; the binary ones write to a global connection.
is_json = 'conn' not in names

ABSENT = object()


class Replaced(object):
    """What the agent has put in the place of something else."""

    def __init__(self):
        self.entries = []

    def item(self, mapping, key, new, later=None):
        """Replaces an entry of a dictionary; returns what stood there. That is
        put back, or what is to stand there `later`."""
        old = mapping.get(key, ABSENT)
        mapping[key] = new
        if later is None:
            later = old
        self.entries.append((mapping, key, new, later))
        return old

    def name(self, name, new):
        """Replaces a global name of the debugger module."""
        return self.item(names, name, new)

    def attribute(self, holder, name, new):
        """Replaces an attribute of an object or a class."""
        old = vars(holder).get(name, ABSENT)
        setattr(holder, name, new)
        self.entries.append((holder, name, new, old))
        return old

    def put_back(self):
        """Undoes all of it, but for what somebody else has replaced since."""
        while self.entries:
            holder, name, new, old = self.entries.pop()
            if isinstance(holder, dict):
                if holder.get(name, ABSENT) is new:
                    if old is ABSENT:
                        del holder[name]
                    else:
                        holder[name] = old
            elif vars(holder).get(name, ABSENT) is new:
                if old is ABSENT:
                    delattr(holder, name)
                else:
                    setattr(holder, name, old)


replaced = Replaced()


def locked(lock, action):
    """Calls `action` with the lock held."""
    lock.acquire()
    try:
        return action()
    finally:
        lock.release()


def open_lock(lock):
    """Releases a lock, or leaves it open."""
    try:
        lock.release()
    except Exception:
        pass


def all_threads():
    """The threads that the server knows."""
    return list(debugger.THREADS.values())
