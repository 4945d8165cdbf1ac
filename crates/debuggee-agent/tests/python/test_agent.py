# The agent against a release's own debugger module, without a connection: a
# pretended socket stands where the server keeps its real one, and threads are
# blocked and released through the methods that the server itself calls.
#
# Run by `tests/python.rs` with the release on PYTHONPATH and the name of its
# module as the last argument; names of tests may stand before. Standard input
# holds, between lines with a form feed: the agent's source, the expressions that
# install it, in the module and in a frame, and what it then says.
#
# Python 2.5 to 3.13 run the same text. Whatever waits here has a limit, and the
# process ends itself when all together take too long.

from __future__ import with_statement

import os
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
import unittest

LIMIT = 20
LIMIT_OF_ALL = 100
SOURCE, IN_MODULE, IN_FRAME, GREETING = sys.stdin.read().split('\n\f\n')
MODULE = sys.argv.pop()

__import__(MODULE)
names = vars(sys.modules[MODULE])
is_json = 'write_string' not in names
to_bytes = names['to_bytes']
NOTHING = to_bytes('')
OWN_NAME = '__ptvsd_bridge__'


def wait_until(condition, what):
    end = time.time() + LIMIT
    while not condition():
        if time.time() > end:
            raise AssertionError('waited in vain until ' + what)
        time.sleep(0.001)


def clear_stepping():
    """A command that does nothing: of thread 0."""
    if not is_json:
        return to_bytes('clst') + struct.pack('!q', 0)
    text = ('{"type": "request", "seq": 9, "command": "legacyClearStepping", '
            '"arguments": {"threadId": 0}}')
    return to_bytes('Content-Length: %d\r\n\r\n%s' % (len(text), text))


class PretendedSocket(object):
    """Remembers what is sent, and gives what the test has put in."""

    def __init__(self):
        self.changed = threading.Condition()
        self.sent = []
        self.incoming = []
        self.refuses = False
        self.is_shut = False
        self.is_closed = False
        self.timeouts = []
        # A number that may be replaced in a child.
        self.reading, self.writing = os.pipe()

    def sendall(self, data):
        if self.refuses:
            raise socket.error(32, 'pretended: nobody is there')
        self.sent.append(data)

    def send(self, data):
        self.sendall(data)
        return len(data)

    def put(self, *items):
        with self.changed:
            self.incoming.extend(items)
            self.changed.notify()

    def recv(self, count):
        with self.changed:
            if not self.incoming and not self.is_shut:
                self.changed.wait(LIMIT)
            if not self.incoming:
                return NOTHING
            item = self.incoming.pop(0)
            if isinstance(item, Exception):
                raise item
            if len(item) > count:
                self.incoming.insert(0, item[count:])
            return item[:count]

    def shutdown(self, how):
        with self.changed:
            self.is_shut = True
            self.changed.notify()

    def close(self):
        self.is_closed = True

    def fileno(self):
        return self.writing

    def setsockopt(self, *arguments):
        pass

    def settimeout(self, seconds):
        self.timeouts.append(seconds)

    def give_back(self):
        for number in (self.reading, self.writing):
            os.close(number)


class Worker(object):
    """A thread of the program that the server knows. Does one thing."""

    def __init__(self, action):
        self.action = action
        self.one = None
        self.error = None
        self.thread = threading.Thread(target=self.run)
        self.thread.daemon = True
        self.thread.start()
        wait_until(lambda: self.one is not None, 'a thread was registered')

    def run(self):
        one = names['Thread']()
        one.cur_frame = sys._getframe()
        names['THREADS'][one.id] = one
        self.one = one
        try:
            self.action(one)
        except Exception:
            self.error = traceback.format_exc()

    def is_done(self):
        self.thread.join(LIMIT)
        if self.error:
            raise AssertionError(self.error)
        if hasattr(self.thread, 'is_alive'):
            return not self.thread.is_alive()
        return not self.thread.isAlive()


class CountedLock(object):
    """In place of a waiter's lock: counts how often it is opened."""

    def __init__(self, lock):
        self.lock = lock
        self.opened = 0

    def acquire(self, *arguments):
        return self.lock.acquire(*arguments)

    def release(self):
        self.opened += 1
        self.lock.release()


def is_open(lock):
    if not lock.acquire(False):
        return False
    lock.release()
    return True


def picture():
    """Everything that an agent may touch."""
    loop = names['DebuggerLoop'].instance
    held = dict(vars(loop))
    # The loop ends with the session, so it keeps the wire.
    for connection in ('conn', '_SocketIO__socket'):
        held.pop(connection, None)
    return {
        'the module': dict(names),
        'the loop': held,
        'the table of commands': dict(held.get('command_table', {})),
        'DebuggerLoop': dict(vars(names['DebuggerLoop'])),
        'Thread': dict(vars(names['Thread'])),
        'ExceptionBreakInfo': dict(vars(names['ExceptionBreakInfo'])),
        'BREAK_ON': dict(vars(names['BREAK_ON'])),
        'the known threads': dict((one, dict(vars(one))) for one in names['THREADS'].values()),
        'DONT_DEBUG': dict(enumerate(names['DONT_DEBUG'])),
        'os': dict(vars(os)),
    }


def differences(before, after):
    found = []
    for place in before:
        old, new = before[place], after[place]
        for name in set(old) | set(new):
            if name not in old or name not in new:
                found.append((place, name))
            elif old[name] is not new[name] and old[name] != new[name]:
                found.append((place, name))
    return sorted(found)


class Session(unittest.TestCase):
    """A server with a debugger attached, and the agent in it."""

    def setUp(self):
        names['BREAK_ON'] = names['ExceptionBreakInfo']()
        names['DETACHED'] = False
        self.module_before = dict(names)
        self.streams_before = sys.stdout, sys.stderr
        self.workers = []
        self.socket = PretendedSocket()
        if not is_json:
            names['conn'] = self.socket
        self.loop = names['DebuggerLoop'](self.socket)
        self.agent = None

    def tearDown(self):
        try:
            # A test that has failed may have left threads behind.
            agents = [agent for agent in (self.agent, names.get(OWN_NAME)) if agent]
            for agent in agents:
                agent['world'].close()
            names['DETACHED'] = True
            for worker in self.workers:
                worker.thread.join(LIMIT)
            for agent in agents:
                agent['remove']()
        finally:
            sys.settrace(None)
            sys.stdout, sys.stderr = self.streams_before
            names['THREADS'].clear()
            names['BREAKPOINTS'].clear()
            del names['MODULES'][:]
            names['DebuggerLoop'].instance = None
            for name in list(names):
                if name not in self.module_before:
                    del names[name]
            names.update(self.module_before)
            self.socket.give_back()

    def install(self):
        self.greeting = eval(IN_MODULE, names)
        self.find_agent()

    def find_agent(self):
        self.agent = names[OWN_NAME]
        self.world = self.agent['world']
        self.wire = self.agent['wire']

    def worker(self, action):
        worker = Worker(action)
        self.workers.append(worker)
        return worker

    def wait_blocked(self, *workers):
        for worker in workers:
            wait_until(lambda: worker.one in self.world.waiters, 'a thread was blocked')

    def stops(self, reported):
        """A thread with a reason of its own to stop."""

        def report(one):
            names['report_step_finished'](one.id)
            reported.append(one)

        return self.worker(lambda one: one.block(lambda: report(one)))

    def stopped(self, reported=None):
        """A thread that has stopped the world, and said so."""
        if reported is None:
            reported = []
        worker = self.stops(reported)
        self.wait_blocked(worker)
        wait_until(lambda: worker.one in reported, 'the stop was reported')
        return worker

    def marked(self):
        """A thread that was told to stop because another has."""
        return self.worker(lambda one: one.async_break())

    def resume(self):
        """As the debugger's command does."""
        if is_json:
            self.loop._resume_all()
        else:
            self.loop.command_resume_all()

    def count(self, binary, event):
        """How many messages of a kind were sent: each is one send."""
        start = to_bytes(binary)
        if is_json:
            kind = to_bytes('"event": "%s"' % event)
            return len([sent for sent in self.socket.sent if kind in sent])
        return len([sent for sent in self.socket.sent if sent.startswith(start)])


class TheSource(unittest.TestCase):
    def test_compiles_as_one_text(self):
        compile(SOURCE, '<all parts>', 'exec')


class ComingAndGoing(Session):
    def test_greets_and_is_in_charge(self):
        self.install()
        self.assertEqual(self.greeting, GREETING)
        self.assertTrue(names['eval'] is self.agent['evaluate'])
        self.assertFalse(names['DETACHED'])

    def test_comes_in_through_any_frame(self):
        # Where names mean something else. Python 2 hides too much from a frame
        # that has no builtins.
        frame = {'names': None, 'eval': None, 'b': None, 'n': None}
        if sys.version_info[0] > 2:
            frame['__builtins__'] = {}
        self.assertEqual(eval(IN_FRAME, frame), GREETING)
        self.find_agent()
        names['report_step_finished'](7)
        self.assertEqual(len(self.socket.sent), 1)

    def test_leaves_the_module_as_it_was(self):
        before = picture()
        self.install()
        self.assertFalse(differences(before, picture()) == [])
        self.agent['remove']()
        self.assertEqual(differences(before, picture()), [])

    def test_leaves_threads_as_they_were(self):
        done = threading.Event()
        worker = self.worker(lambda one: done.wait(LIMIT))
        before = picture()
        self.install()
        self.agent['remove']()
        self.assertEqual(differences(before, picture()), [])
        done.set()
        self.assertTrue(worker.is_done())

    def test_takes_the_place_of_one_that_was_left(self):
        before = picture()
        self.install()
        left = self.agent
        stopped = self.stopped()
        self.install()
        self.assertFalse(self.agent is left)
        self.assertTrue(stopped.is_done())
        names['THREADS'].clear()
        self.agent['remove']()
        # The server imports one and is warned of using it, when a thread stops
        # for the first time.
        imported = 'threading', '_threading', '__warningregistry__'
        own = [('the module', name) for name in imported]
        changed = [one for one in differences(before, picture()) if one not in own]
        self.assertEqual(changed, [])


class Replacing(Session):
    def setUp(self):
        Session.setUp(self)
        self.install()
        self.replaced = self.agent['Replaced']()

    def test_puts_back(self):
        table, holder = {'a': 1}, Worker
        before = vars(Worker)['is_done']
        self.assertEqual(self.replaced.item(table, 'a', 2), 1)
        self.assertTrue(self.replaced.attribute(holder, 'is_done', len) is before)
        self.assertEqual((table['a'], vars(holder)['is_done']), (2, len))
        self.replaced.put_back()
        self.assertEqual(table, {'a': 1})
        self.assertTrue(vars(holder)['is_done'] is before)

    def test_takes_away_what_was_absent(self):
        table = {}
        self.replaced.item(table, 'a', 2)
        self.replaced.attribute(Worker, 'other', 2)
        self.replaced.put_back()
        self.assertEqual((table, hasattr(Worker, 'other')), ({}, False))

    def test_undoes_the_last_first(self):
        table = {'a': 1}
        self.replaced.item(table, 'a', 2)
        self.replaced.item(table, 'a', 3)
        self.replaced.put_back()
        self.assertEqual(table, {'a': 1})
        # There is nothing left to undo.
        table['a'] = 3
        self.replaced.put_back()
        self.assertEqual(table, {'a': 3})

    def test_leaves_what_somebody_else_has_replaced(self):
        table, worker = {'a': 1, 'b': 1}, self.worker(lambda one: None)
        others = []
        self.replaced.item(table, 'a', [])
        self.replaced.item(table, 'b', [])
        self.replaced.attribute(worker, 'action', [])
        table['a'] = worker.action = others
        del table['b']
        self.replaced.put_back()
        self.assertTrue(table['a'] is others and worker.action is others)
        self.assertFalse('b' in table)


class Detaching(Session):
    def test_the_last_message_ends_the_connection_before_another_can_begin(self):
        if is_json:
            return
        self.install()
        ended = []
        self.socket.shutdown = lambda how: ended.append(names['send_lock'].locked())
        with names['_SendLockCtx']:
            names['write_bytes'](names['conn'], to_bytes('DETC'))
            names['detach_process']()
        self.assertEqual(ended, [True])
        self.assertEqual(self.socket.sent[-1], to_bytes('DETC'))


class Reading(Session):
    def read_all(self):
        """The server's own thread."""
        reader = threading.Thread(target=self.loop.loop)
        reader.daemon = True
        reader.start()
        return reader

    def assert_over(self, reader):
        reader.join(LIMIT)
        wait_until(lambda: names['DETACHED'], 'the server was detached')
        self.assertTrue(self.socket.is_closed)
        self.assertTrue(self.world.finished)
        self.assertFalse(OWN_NAME in names)


class TheWatch(Reading):
    """Where the system does not tell that the debugger is silent."""

    def setUp(self):
        Reading.setUp(self)
        # Such a socket is one of TLS.
        self.socket.getpeercert = lambda: None
        self.install()
        self.agent['BETWEEN_LOOKS'] = 0.01
        self.agent['patience'] = 0.2

    def test_a_call_under_way_is_left_alone(self):
        self.assertEqual(self.socket.timeouts, [])

    def test_a_debugger_that_is_silent_is_missed(self):
        self.assert_over(self.read_all())

    def test_a_debugger_that_speaks_is_not(self):
        reader = self.read_all()
        for _ in range(40):
            time.sleep(0.01)
            self.socket.put(clear_stepping())
        self.assertFalse(self.world.closed)
        self.assert_over(reader)


class TheWire(Reading):
    def setUp(self):
        Reading.setUp(self)
        self.install()

    def test_sends_a_message_as_one(self):
        names['report_step_finished'](7)
        self.assertEqual(len(self.socket.sent), 1)
        [sent] = self.socket.sent
        if is_json:
            header, text = sent.split(to_bytes('\r\n\r\n'))
            self.assertEqual(header, to_bytes('Content-Length: %d' % len(text)))
            self.assertTrue(to_bytes('legacyStepDone') in text)
        else:
            self.assertEqual(sent, to_bytes('STPD') + struct.pack('!q', 7))

    def test_sends_header_and_text_as_one_outside_of_the_lock(self):
        if not is_json:
            return
        self.loop.send_response({'seq': 3, 'command': 'legacyResumeAll'})
        self.loop.send_response({'seq': 4, 'command': 'legacyResumeAll'})
        self.assertEqual(len(self.socket.sent), 2)
        for sent in self.socket.sent:
            self.assertTrue(sent.startswith(to_bytes('Content-Length: ')))
            self.assertTrue(sent.endswith(to_bytes('}')))

    def test_sends_at_once_what_is_no_message(self):
        if is_json:
            return
        self.wire.sendall(to_bytes('one'))
        self.wire.sendall(to_bytes('two'))
        self.assertEqual(self.socket.sent, [to_bytes('one'), to_bytes('two')])

    def test_leaves_out_a_message_that_raises_half_way(self):
        with names['_SendLockCtx']:
            self.wire.sendall(to_bytes('half of it'))
            raise ValueError('as planned')
        self.assertEqual(self.socket.sent, [])
        self.assertTrue(is_open(names['send_lock']))
        self.assertFalse(names['DETACHED'])
        names['report_step_finished'](7)
        self.assertEqual(len(self.socket.sent), 1)
        self.assertFalse(to_bytes('half') in self.socket.sent[0])

    def test_hides_no_interrupt(self):
        def interrupted():
            with names['_SendLockCtx']:
                raise KeyboardInterrupt()

        self.assertRaises(KeyboardInterrupt, interrupted)
        self.assertTrue(is_open(names['send_lock']))

    def test_marks_the_sender_while_it_sends(self):
        seen = []

        def send(one):
            with names['_SendLockCtx']:
                seen.append(one.is_sending)
            seen.append(one.is_sending)

        self.assertTrue(self.worker(send).is_done())
        self.assertEqual(seen, [True, False])

    def test_tells_writers_apart(self):
        inside, through = threading.Event(), threading.Event()

        def send(one):
            with names['_SendLockCtx']:
                self.wire.sendall(to_bytes('slow '))
                inside.set()
                through.wait(LIMIT)
                self.wire.sendall(to_bytes('message'))

        slow = self.worker(send)
        inside.wait(LIMIT)
        self.wire.sendall(to_bytes('header '))
        self.wire.sendall(to_bytes('text'))
        through.set()
        self.assertTrue(slow.is_done())
        self.assertEqual(self.socket.sent[-1], to_bytes('slow message'))
        self.assertEqual(NOTHING.join(self.socket.sent[:-1]), to_bytes('header text'))

    def test_reads_on_after_an_interrupted_call(self):
        self.socket.put(socket.error(4, 'pretended'), socket.error(4, 'again'), to_bytes('data'))
        self.assertEqual(self.wire.recv(100), to_bytes('data'))
        self.assertFalse(self.world.closed)

    def test_ends_with_the_stream(self):
        stopped = self.stopped()
        self.socket.put(NOTHING)
        self.assert_over(self.read_all())
        self.assertTrue(stopped.is_done())

    def test_ends_with_an_error(self):
        stopped = self.stopped()
        self.socket.put(socket.error(104, 'pretended: reset'))
        self.assert_over(self.read_all())
        self.assertTrue(stopped.is_done())

    def test_ends_when_nothing_can_be_sent(self):
        stopped = self.stopped()
        reader = self.read_all()
        self.socket.refuses = True
        # Raises nothing in the program.
        names['report_step_finished'](7)
        self.assertTrue(stopped.is_done())
        self.assert_over(reader)
        self.assertTrue(is_open(names['send_lock']))

    def test_sends_text_that_cannot_be_encoded(self):
        if sys.version_info[0] > 2:
            text = eval("'left \\ud800 right'")
        else:
            text = 'left \xff right'
        if is_json:
            names['send_debug_event'](name='shown', text=text)
        else:
            with names['_SendLockCtx']:
                names['write_string'](names['conn'], text)
        self.assertEqual(len(self.socket.sent), 1)
        self.assertTrue(to_bytes('left ') in self.socket.sent[0])
        self.assertTrue(to_bytes(' right') in self.socket.sent[0])
        self.assertFalse(names['DETACHED'])


class Stopping(Session):
    def setUp(self):
        Session.setUp(self)
        self.install()

    def test_a_resume_releases_each_thread_once(self):
        reported = []
        first = self.stopped(reported)
        workers = [first, self.marked(), self.marked()]
        self.wait_blocked(*workers)
        locks = []
        for worker in workers:
            waiter = self.world.waiters[worker.one]
            waiter.lock = CountedLock(waiter.lock)
            locks.append(waiter.lock)
        self.resume()
        self.resume()
        self.assertEqual([worker.is_done() for worker in workers], [True] * 3)
        self.assertEqual([lock.opened for lock in locks], [1, 1, 1])
        self.assertEqual(reported, [first.one])
        self.assertEqual([worker.one._is_blocked for worker in workers], [False] * 3)
        self.assertFalse(self.world.stopped or self.world.waiters)

    def test_a_stop_tells_the_others(self):
        idle = threading.Event()
        other = self.worker(lambda one: idle.wait(LIMIT))
        stopped = self.stopped()
        self.assertEqual(other.one.stepping, names['STEPPING_BREAK'])
        self.assertFalse(self.agent['is_told_to_stop'](stopped.one))
        self.resume()
        self.assertEqual(other.one.stepping, names['STEPPING_NONE'])
        idle.set()
        self.assertTrue(stopped.is_done() and other.is_done())

    def test_a_silent_thread_blocks_only_while_the_world_is_stopped(self):
        self.assertTrue(self.marked().is_done())
        stopped = self.stopped()
        silent = self.marked()
        self.wait_blocked(silent)
        self.resume()
        self.assertTrue(silent.is_done() and stopped.is_done())
        self.assertTrue(self.marked().is_done())

    def test_a_break_that_was_asked_for_is_reported_once(self):
        names['SEND_BREAK_COMPLETE'] = True
        first, second = self.marked(), self.marked()
        self.wait_blocked(first, second)
        # A resume that comes before would withdraw it.
        wait_until(lambda: self.count('ASBR', 'legacyAsyncBreak'), 'the break was reported')
        self.resume()
        self.assertTrue(first.is_done() and second.is_done())
        self.assertEqual(self.count('ASBR', 'legacyAsyncBreak'), 1)

    def test_one_thread_reports_the_attach(self):
        def attach(one):
            one.stepping = names['STEPPING_ATTACH_BREAK']
            one.block_maybe_attach()

        first = self.worker(attach)
        self.wait_blocked(first)
        second = self.worker(attach)
        self.wait_blocked(second)
        wait_until(lambda: self.count('LOAD', 'legacyProcessLoad'), 'the attach was reported')
        self.resume()
        self.assertTrue(first.is_done() and second.is_done())
        self.assertEqual(self.count('LOAD', 'legacyProcessLoad'), 1)

    def test_a_second_reason_is_kept_back_until_the_resume(self):
        reported = []
        first = self.stopped(reported)
        second = self.stops(reported)
        self.wait_blocked(second)
        self.assertEqual(reported, [first.one])
        self.resume()
        self.assertTrue(first.is_done())
        wait_until(lambda: len(reported) == 2, 'the second reason was reported')
        self.assertEqual(reported, [first.one, second.one])
        self.wait_blocked(second)
        self.assertTrue(self.world.stopped)
        self.resume()
        self.assertTrue(second.is_done())
        self.assertFalse(self.world.stopped)

    def test_a_resume_may_overtake_the_end_of_a_report(self):
        def report_first(one):
            names['report_step_finished'](one.id)

        self.assert_second_stop_stands(report_first)

    def test_a_resume_may_overtake_a_report_that_says_nothing(self):
        self.assert_second_stop_stands(lambda one: None)

    def assert_second_stop_stands(self, report_first):
        begun, ended = threading.Event(), threading.Event()

        def first_stops(one):
            report_first(one)
            wait_until(lambda: len(self.world.waiters) == 2, 'both were blocked')
            self.resume()
            begun.wait(LIMIT)

        def second_stops(one):
            begun.set()
            first.is_done()
            names['report_step_finished'](one.id)
            ended.set()

        first = self.worker(lambda one: one.block(lambda: first_stops(one)))
        self.wait_blocked(first)
        second = self.worker(lambda one: one.block(lambda: second_stops(one)))
        ended.wait(LIMIT)
        self.assertTrue(first.is_done())
        # The debugger has been told that it stopped.
        self.assertTrue(self.world.stopped)
        self.assertTrue(second.one in self.world.waiters)
        self.resume()
        self.assertTrue(second.is_done())

    def test_a_report_that_says_nothing_stops_nothing(self):
        def fails():
            raise ValueError('as planned')

        for report in (lambda: None, fails):
            self.assertTrue(self.worker(lambda one: one.block(report)).is_done())
            self.assertFalse(self.world.stopped or self.world.waiters)

    def test_a_thread_may_be_unblocked_twice(self):
        stopped = self.stopped()
        silent = self.marked()
        self.wait_blocked(silent)
        silent.one.unblock()
        silent.one.unblock()
        self.assertTrue(silent.is_done())
        silent.one.unblock()
        self.assertTrue(stopped.one in self.world.waiters)
        self.resume()
        self.assertTrue(stopped.is_done())

    def test_a_blocked_thread_works_and_stays_blocked(self):
        stopped = self.stopped()
        done = []
        for number in range(3):
            stopped.one.schedule_work(lambda: done.append(names['thread'].get_ident()))
            wait_until(lambda: len(done) == number + 1, 'the work was done')
        self.assertEqual(done, [stopped.one.id] * 3)
        self.assertTrue(stopped.one._is_blocked)
        self.resume()
        self.assertTrue(stopped.is_done())
        # Nobody is there to do it: it is not kept for the next stop.
        stopped.one.schedule_work(lambda: done.append(None))
        self.assertEqual(len(done), 3)

    def test_an_error_in_the_work_leaves_nobody_behind(self):
        def fails():
            raise ValueError('as planned')

        stopped = self.stopped()
        stopped.one.schedule_work(fails)
        self.assertRaises(AssertionError, stopped.is_done)
        self.assertFalse(stopped.one in self.world.waiters or stopped.one._is_blocked)

    def test_close_frees_everyone_for_good(self):
        reported = []
        first = self.stopped(reported)
        others = [self.stops(reported), self.marked()]
        self.wait_blocked(*others)
        names['BREAKPOINTS'][3] = {}
        names['BREAK_ON'].handler_lock.acquire()
        self.world.close()
        self.assertEqual([worker.is_done() for worker in [first] + others], [True] * 3)
        self.assertEqual(reported, [first.one])
        self.assertEqual(names['BREAKPOINTS'], {})
        self.assertEqual(names['BREAK_ON'].default_mode, names['BREAK_MODE_NEVER'])
        # Nothing stops any more, nor waits for the debugger's answer.
        self.assertTrue(self.stops(reported).is_done())
        self.assertEqual(reported, [first.one])
        names['BREAK_ON'].handler_lock.acquire()
        names['BREAK_ON'].handler_lock.acquire()

    def test_who_waits_for_handlers_is_freed(self):
        lock = names['BREAK_ON'].handler_lock
        lock.acquire()
        waiting = self.worker(lambda one: lock.acquire())
        self.world.close()
        self.assertTrue(waiting.is_done())

    def test_a_step_of_a_thread_that_is_not_blocked_is_a_resume(self):
        stopped = self.stopped()
        running = threading.Event()
        other = self.worker(lambda one: running.wait(LIMIT))
        if is_json:
            request = {'seq': 1, 'command': 'legacyStepInto'}
            self.loop.on_legacyStepInto(request, {'threadId': other.one.id})
        else:
            self.socket.put(struct.pack('!q', other.one.id))
            self.loop.command_table[to_bytes('stpi')]()
        self.assertTrue(stopped.is_done())
        running.set()
        self.assertTrue(other.is_done())

    def test_a_step_leaves_the_stepping_thread_its_mark(self):
        stopped = self.stopped()
        if is_json:
            request = {'seq': 1, 'command': 'legacyStepOver'}
            self.loop.on_legacyStepOver(request, {'threadId': stopped.one.id})
        else:
            self.socket.put(struct.pack('!q', stopped.one.id))
            self.loop.command_table[to_bytes('stpv')]()
        self.assertTrue(stopped.is_done())
        self.assertEqual(stopped.one.stepping, names['STEPPING_OVER'])

    def test_a_mark_that_is_taken_meanwhile_is_no_step(self):
        self.install()

        class Released(object):
            marks = [names['STEPPING_BREAK'], names['STEPPING_NONE']]
            stepping = property(lambda self: self.marks.pop(0))

        self.assertFalse(self.agent['is_stepping'](Released()))

    def test_many_stops_lose_no_thread(self):
        rounds, reported = 30, []

        def report(one):
            names['report_step_finished'](one.id)
            reported.append(one)

        def hit_again_and_again(one):
            for _ in range(rounds):
                one.block(lambda: report(one))

        workers = [self.worker(hit_again_and_again) for _ in range(3)]
        for count in range(1, 3 * rounds + 1):
            wait_until(lambda: len(reported) == count, 'stop %d was reported' % count)
            self.resume()
        self.assertEqual([worker.is_done() for worker in workers], [True] * 3)


class Breakpoints(Session):
    def add(self, number, line=3):
        """As a thread that binds one, or the command that sets one."""
        if 'BreakpointInfo' in names:
            names['add_break_point'](names['BreakpointInfo'](number, 'f.py', line, 0, '', 0, 0))
        else:
            names['add_break_point']('f.py', False, '', line, number, False)

    def remove(self, number, line=3):
        if is_json:
            wanted = {'breakpointLineNo': line, 'breakpointId': number, 'language': 0}
            self.loop.on_legacyRemoveBreakpoint({'seq': 1, 'command': 'legacyRemove'}, wanted)
        else:
            self.socket.put(struct.pack('!qq', line, number))
            self.loop.command_table[to_bytes('brkr')]()

    def numbers(self, line=3):
        return sorted([number for (_, number), _ in names['BREAKPOINTS'][line].items()])

    def test_a_walk_through_a_line_goes_on_while_its_table_changes(self):
        self.install()
        self.add(1)
        self.add(2)
        seen = []
        for (_, number), _ in names['BREAKPOINTS'][3].items():
            seen.append(number)
            self.add(10 + number)
            self.remove(number)
        self.assertEqual(sorted(seen), [1, 2])
        for _, number in names['BREAKPOINTS'][3]:
            self.add(10 + number)
        self.assertEqual(self.numbers(), [11, 12, 21, 22])

    def test_a_table_from_before_is_left_as_it_is_for_who_walks_through_it(self):
        self.add(1)
        self.add(2)
        self.add(3, line=4)
        walk = iter(names['BREAKPOINTS'][3].items())
        next_of(walk)
        self.install()
        self.remove(1)
        self.add(4)
        next_of(walk)
        self.assertEqual(self.numbers(), [2, 4])
        self.assertEqual(self.numbers(4), [3])

    def test_the_last_of_a_line_takes_its_table_away(self):
        self.install()
        self.add(1)
        self.remove(1)
        self.assertEqual(names['BREAKPOINTS'], {})

    def test_a_walk_through_the_pending_goes_on_while_they_change(self):
        pending = names['PENDING_BREAKPOINTS']
        pending.add('before')
        self.install()
        seen = []
        for one in names['PENDING_BREAKPOINTS']:
            names['PENDING_BREAKPOINTS'].add('meanwhile')
            seen.append(one)
        self.assertEqual(seen, ['before'])
        names['PENDING_BREAKPOINTS'].difference_update(set(seen))
        self.assertEqual(list(names['PENDING_BREAKPOINTS']), ['meanwhile'])

    def test_none_is_left_or_added_after_the_end(self):
        pending = names['PENDING_BREAKPOINTS']
        pending.add('before')
        self.install()
        self.add(1)
        self.world.close()
        self.add(2)
        self.agent['remove']()
        self.assertEqual(names['BREAKPOINTS'], {})
        self.assertEqual(names['PENDING_BREAKPOINTS'], set())
        self.assertTrue(type(names['PENDING_BREAKPOINTS']) is set)
        pending.clear()


def next_of(walk):
    # Python 2.5 has no `next`.
    for one in walk:
        return one


class StoppedBefore(Session):
    """Threads that stopped in the server's own code, before the agent came."""

    def setUp(self):
        Session.setUp(self)
        reported = []
        self.early = self.stops(reported)
        wait_until(lambda: reported, 'the stop was reported')
        self.install()

    def test_is_taken_for_stopped(self):
        self.assertTrue(self.world.stopped)
        silent = self.marked()
        self.wait_blocked(silent)
        self.resume()
        self.resume()
        self.assertTrue(self.early.is_done() and silent.is_done())

    def test_works_and_is_closed(self):
        done = []
        self.early.one.schedule_work(lambda: done.append(names['thread'].get_ident()))
        wait_until(lambda: done, 'the work was done')
        self.assertEqual(done, [self.early.one.id])
        wait_until(lambda: not self.early.one._is_working, 'the thread was blocked again')
        self.world.close()
        self.assertTrue(self.early.is_done())


class Evaluating(Session):
    def setUp(self):
        Session.setUp(self)
        self.install()
        self.globals = {'shown': 'global', 'start': 10}
        self.locals = {'shown': 'local', 'x': 1}

    def value(self, text, kind='eval'):
        """As the server does it."""
        before = dict(self.globals)
        try:
            return names['eval'](compile(text, '<test>', kind), self.globals, self.locals)
        finally:
            self.globals.pop('__builtins__', None)
            self.assertEqual(self.globals, before)

    def test_parts_see_the_local_variables(self):
        self.assertEqual(self.value('[x + n for n in (1, 2)]'), [2, 3])
        self.assertEqual(self.value('(lambda: x + start)()'), 11)
        self.assertEqual(self.value('sum(x for _ in (1, 2))'), 2)
        self.assertEqual(self.value('[[x for _ in (1,)] for _ in (1,)]'), [[1]])
        self.assertEqual(self.value('(lambda: lambda: x)()()'), 1)

    def test_a_local_variable_hides_a_global_one(self):
        self.assertEqual(self.value('shown'), 'local')
        self.assertEqual(self.value('[shown for _ in (1,)]'), ['local'])
        self.assertEqual(self.value('[start for _ in (1,)]'), [10])

    def test_without_locals_it_is_the_module(self):
        self.assertEqual(names['eval']('start', self.globals), 10)
        self.assertEqual(names['eval']('start', self.globals, self.globals), 10)

    def test_what_statements_bind_stays_in_the_frame(self):
        self.value('y = x + 1', 'exec')
        self.assertEqual(self.locals['y'], 2)
        self.value('z = (lambda: x + y)()\nx = 5', 'exec')
        self.assertEqual((self.locals['z'], self.locals['x']), (3, 5))
        self.value('def later(): return x', 'exec')
        self.assertEqual(self.locals['later'](), 5)
        self.assertFalse('__builtins__' in self.locals)

    def test_what_was_bound_before_an_error_stays_too(self):
        text = 'y = (lambda: x)()\nraise ValueError(y)'
        self.assertRaises(ValueError, self.value, text, 'exec')
        self.assertEqual(self.locals['y'], 1)

    def test_what_is_nowhere_is_a_name_error(self):
        self.assertRaises(NameError, self.value, 'nowhere')
        self.assertRaises(NameError, self.value, '[nowhere for _ in (1,)]')
        self.assertRaises(NameError, self.value, '[nowhere + x for _ in (1,)]')

    def test_a_condition_is_compiled_once(self):
        condition = 'any(x == n for n in (1, 2))'
        for _ in range(3):
            self.assertTrue(names['eval'](condition, self.globals, self.locals))
        self.assertEqual(list(self.agent['compiled']), [condition])
        for number in range(300):
            self.assertEqual(names['eval'](str(number), self.globals, self.locals), number)
        self.assertTrue(len(self.agent['compiled']) <= self.agent['MOST_COMPILED'])

    def test_a_condition_may_be_indented(self):
        self.assertTrue(names['eval']('  \tx == 1', self.globals, self.locals))


class TheChannel(Session):
    def setUp(self):
        Session.setUp(self)
        self.install()
        self.answer = self.agent['answer']

    def test_says_who_it_is(self):
        self.assertEqual(self.answer('hello'), GREETING)
        self.assertEqual(self.answer(' hello  you '), self.answer('hello'))

    def test_refuses_what_it_does_not_know(self):
        for text in ('', ' ', 'nonsense', 'hell', 'x' * 10000000):
            self.assertEqual(self.answer(text), 'ptvsd-bridge agent: unknown request')

    def test_sizes_are_bounded(self):
        asked = []
        self.agent['requests']['much'] = lambda *words: asked.extend(words) or 'x' * 3000000
        answer = self.answer('much ' + 'x' * 10000000)
        self.assertEqual(len(answer), self.agent['MOST_ANSWER'])
        self.assertEqual(len(asked[0]), self.agent['MOST_REQUEST'] - len('much '))

    def test_answers_an_execution(self):
        # As the server finds it, whatever frame was asked for.
        number = self.agent['AGENT_THREAD']
        one, frame = self.loop.get_thread_and_frame(number, 3, 1)
        kinds = names['report_execution_result'].__code__.co_argcount - 2
        one.run_on_thread('hello', frame, 9, 1, *([0] * kinds))
        self.assertEqual(len(self.socket.sent), 1)
        self.assertTrue(to_bytes(GREETING) in self.socket.sent[0])

    def test_sends_the_frames_of_threads_that_run(self):
        self.assertEqual(self.answer('stacks'), 'done')
        self.assertEqual(self.socket.sent, [])
        idle = threading.Event()
        running = self.worker(lambda one: idle.wait(LIMIT))
        self.assertEqual(self.answer('stacks'), 'done')
        self.assertEqual(self.count('THRF', 'legacyThreadFrameList'), 1)
        idle.set()
        self.assertTrue(running.is_done())

    def test_finds_the_programs_threads_as_before(self):
        worker = self.worker(lambda one: None)
        self.assertTrue(names['get_thread_from_id'](worker.one.id) is worker.one)
        self.assertTrue(names['get_thread_from_id'](-1) is None)


class Forking(Session):
    def hold_everything(self):
        """A thread that a child will not have holds all locks, for ever."""
        held, over = threading.Event(), threading.Event()
        locks = [
            names['send_lock'],
            names['THREADS_LOCK'],
            names['attach_lock'],
            names['BREAK_ON'].handler_lock,
            self.world.lock,
        ]

        def hold():
            for lock in locks:
                lock.acquire()
            held.set()
            over.wait(LIMIT)
            for lock in locks:
                lock.release()

        holder = threading.Thread(target=hold)
        holder.daemon = True
        holder.start()
        held.wait(LIMIT)

        def release():
            over.set()
            holder.join(LIMIT)

        return release

    def wrong_in_child(self):
        """What is not as it should be in a child."""
        wrong = []
        if hasattr(sys, 'gettrace') and sys.gettrace() is not None:
            wrong.append('it is traced')
        if not names['DETACHED']:
            wrong.append('it is attached')
        if OWN_NAME in names:
            wrong.append('the agent is in charge')
        if names['THREADS'] or names['BREAKPOINTS']:
            wrong.append('it has threads or breakpoints')
        if names['DebuggerLoop'].instance is not None:
            wrong.append('it has a command loop')
        for lock in ('send_lock', 'THREADS_LOCK', 'attach_lock'):
            if not is_open(names[lock]):
                wrong.append(lock + ' is held')
        if not is_open(names['BREAK_ON'].handler_lock):
            wrong.append('the handlers are held')
        if not is_open(self.world.lock):
            wrong.append('the world is held')
        # It must not reach the parent's debugger.
        os.write(self.socket.fileno(), to_bytes('from the child'))
        return ', '.join(wrong) or 'nothing'

    def pretend(self, name, result):
        missing = object()
        real = vars(os).get(name, missing)
        setattr(os, name, lambda: result)
        return lambda: real is missing and delattr(os, name) or setattr(os, name, real)

    def assert_child(self, name, result):
        put_back = self.pretend(name, result)
        try:
            self.install()
            names['BREAKPOINTS'][3] = {}
            sys.settrace(lambda *arguments: None)
            release = self.hold_everything()
            self.assertEqual(getattr(os, name)(), result)
            wrong = self.wrong_in_child()
            release()
            self.assertEqual(wrong, 'nothing')
        finally:
            put_back()

    def test_in_a_pretended_child(self):
        self.assert_child('fork', 0)

    def test_in_a_pretended_child_with_a_terminal(self):
        self.assert_child('forkpty', (0, 5))

    def test_in_a_pretended_parent(self):
        put_back = self.pretend('fork', 77)
        try:
            self.install()
            self.assertEqual(os.fork(), 77)
            self.assert_attached()
        finally:
            put_back()

    def test_in_a_real_child(self):
        if not hasattr(os, 'fork'):
            return
        self.install()
        stopped = self.stopped()
        names['BREAKPOINTS'][3] = {}
        release = self.hold_everything()
        reading, writing = os.pipe()
        sys.settrace(lambda *arguments: None)
        child = os.fork()
        if child == 0:
            try:
                try:
                    said = self.wrong_in_child()
                except BaseException:
                    said = traceback.format_exc()
                os.write(writing, said.encode('ascii', 'replace'))
            finally:
                os._exit(0)
        sys.settrace(None)
        os.close(writing)
        said = NOTHING
        try:
            if not select.select([reading], [], [], LIMIT)[0]:
                os.kill(child, signal.SIGKILL)
            said = os.read(reading, 10000)
        finally:
            os.close(reading)
            os.waitpid(child, 0)
            release()
        self.assertEqual(said, to_bytes('nothing'))
        self.assert_attached()
        self.assertTrue(stopped.one in self.world.waiters)
        self.assertEqual(select.select([self.socket.reading], [], [], 0)[0], [])
        self.resume()
        self.assertTrue(stopped.is_done())

    def assert_attached(self):
        self.assertFalse(names['DETACHED'])
        self.assertTrue(names[OWN_NAME] is self.agent)
        before = len(self.socket.sent)
        names['report_step_finished'](7)
        self.assertEqual(len(self.socket.sent), before + 1)


def give_up():
    for ident, frame in sys._current_frames().items():
        sys.stderr.write('thread %d:\n%s\n' % (ident, ''.join(traceback.format_stack(frame))))
    sys.stderr.write('the tests took longer than %d s\n' % LIMIT_OF_ALL)
    sys.stderr.flush()
    os._exit(2)


if __name__ == '__main__':
    watch = threading.Timer(LIMIT_OF_ALL, give_up)
    watch.daemon = True
    watch.start()
    try:
        unittest.main()
    finally:
        watch.cancel()
        # Python 2 takes its names away while it would still run.
        watch.join(LIMIT)
