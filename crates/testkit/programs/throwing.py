# Does what it is told to, line by line, and says so when it is done.
# What raises and has no `except` clause ends in a `finally` that returns: to
# everybody who reads the code, nothing handles it.
import os
import sys
import threading
import time

import throwing_parts as parts


class OwnError(Exception):
    pass


class Countdown(object):
    def __init__(self, number):
        self.number = number

    def __iter__(self):
        return self

    def __getattr__(self, name):
        raise AttributeError(name)

    def __next__(self):
        if self.number == 0:
            raise StopIteration
        self.number -= 1
        return self.number

    next = __next__


def handled():
    try:
        raise ValueError('handled')  # HERE: handled
    except ValueError:
        pass


def handled_by_a_base():
    try:
        try:
            raise OwnError('by a base')
        finally:
            pass
    except (KeyError, Exception) as error:
        return error


def handled_further_out():
    try:
        raises()
    except OwnError:
        pass


def handled_by_dotted_name():
    try:
        parts.fails()
    except parts.PartError:
        pass


def handled_there():
    parts.handles(raises)


def handled_loop():
    for _ in Countdown(3):
        pass


def handled_import():
    try:
        import absent_module
        return absent_module
    except ImportError:
        pass


def handled_import_there():
    try:
        import throwing_broken
        return throwing_broken
    except ImportError:
        pass


def handled_by_hasattr():
    return hasattr(Countdown(0), 'absent')


def handled_environ():
    try:
        return os.environ['ABSENT']
    except KeyError:
        return os.environ.get('ABSENT')


def raises():
    raise OwnError('own')  # HERE: raises


def unhandled():
    raise KeyError('unhandled')  # HERE: unhandled


def unhandled_here():
    try:
        raise ValueError('for another')  # HERE: for another
    except (KeyError, OwnError):
        pass


def unhandled_there():
    parts.fails()


def unhandled_in_handler():
    try:
        raises()
    except OwnError:
        raise ValueError('in a handler')  # HERE: in a handler


def unhandled_environ():
    return os.environ['ABSENT']  # HERE: environ


def unhandled_in_library():
    return parts.decode('{')


def unhandled_in_thread():
    worker = threading.Thread(target=unhandled)
    worker.start()
    while worker.is_alive():
        print('main goes on')
        sys.stdout.flush()
        time.sleep(0.05)  # HERE: main


def reraised():
    try:
        raises()
    except OwnError:
        raise


def exit_plain():
    sys.exit()


def exit_zero():
    sys.exit(0)


def exit_one():
    sys.exit(1)  # HERE: exit


def perform(action):
    try:
        action()
    finally:
        return


print('ready')
sys.stdout.flush()
while True:
    line = sys.stdin.readline().strip()
    if not line:
        break
    if line == 'end':
        raise OwnError('the end')  # HERE: end
    perform(globals()[line])
    print('done ' + line)
    sys.stdout.flush()
