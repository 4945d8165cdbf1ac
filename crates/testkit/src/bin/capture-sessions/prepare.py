# Starts the server for a capture so that nothing of this machine gets into
# what the server sends: no interpreter, no library folder, and hence a module
# list of a few lines.
import os
import sys
from threading import Thread
from time import sleep

# A copy in a folder whose name says nothing.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'server'))
import ptvsd


def forget_paths():
    for name, module in list(sys.modules.items()):
        # The server needs its own: it must not debug itself.
        if name.split('.')[0] not in ('__main__', 'ptvsd'):
            try:
                del module.__file__
            except Exception:
                pass


def idle():
    pass


def fail():
    try:
        raise KeyError('handled')
    except KeyError:
        pass
    try:
        raise ValueError('no total')
    except ValueError:
        pass


def act():
    # Pauses; with `act.how` set also does what a debugger is told of.
    sleep(0.02)
    how, act.how = act.how, None
    if how:
        thread = Thread(target=idle)
        thread.start()
        thread.join()
        print('the total is known')
        if how == 'bytes':
            print(b'caf\xe9')
        fail()
    return True


act.how = None
sys.executable = '/usr/bin/python'
# The globals of the script come with each frame list: keep them few.
for name in ('__cached__', '__doc__', '__loader__', '__package__', '__spec__'):
    sys.modules['__main__'].__dict__.pop(name, None)
forget_paths()
ptvsd.enable_attach('secret', ('127.0.0.1', int(os.environ['PTVSD_TEST_PORT'])))
# Again, as it imports more.
forget_paths()
sys.stderr.write('open for debuggers\n')
sys.stderr.flush()
