import os
import subprocess
import sys
import threading
import time


def in_child(number):
    print('foreign %d' % number)  # HERE: child
    sys.stdout.flush()


def by_fork(number):
    child = os.fork()
    if child == 0:
        in_child(number)
        os._exit(0)
    return wait_for(child)


def wait_for(child):
    # One that hangs does so for ever; on a busy machine the others take long.
    for _ in range(1500):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


def by_multiprocessing(number):
    import multiprocessing
    if hasattr(multiprocessing, 'get_context'):
        multiprocessing = multiprocessing.get_context('fork')
    child = multiprocessing.Process(target=in_child, args=(number,))
    child.start()
    child.join(15)
    alive = child.is_alive()
    if alive:
        child.terminate()
        child.join()
    return not alive and child.exitcode == 0


sleepers = []


def by_subprocess(number):
    # Runs until the next one is started; holds nothing of the debugger's.
    while sleepers:
        before = sleepers.pop()
        before.terminate()
        before.wait()
    sleeper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'])
    sleepers.append(sleeper)
    print('sleeper %d' % sleeper.pid)
    sys.stdout.flush()
    return sleeper.poll() is None


def others():
    # The other threads may hold any lock when the process is copied.
    value = 0
    while True:
        value += 1
        time.sleep(0.001)


for _ in range(3):
    thread = threading.Thread(target=others)
    thread.daemon = True
    thread.start()

number = 0
while True:
    number += 1
    way = (by_fork, by_multiprocessing, by_subprocess)[number % 3]
    if way(number):
        result = 'well'  # HERE: parent
    else:
        result = 'BADLY'
    print('child %d ended %s' % (number, result))
    sys.stdout.flush()
    time.sleep(0.1)
