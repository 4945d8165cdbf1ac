# The connection: one send for each message, and an end to a debugger that is
# dead. The bare servers send a message in many small pieces, each of which may
# wait for an acknowledgement, and read an ended stream for ever.

EINTR = 4
ECONNRESET = 104


class Wire(object):
    """Stands in for the server's socket."""

    def __init__(self, sock):
        self.socket = sock
        # Pieces of the message that the holder of the send lock is writing.
        self.pieces = None
        # A JSON header that was sent outside of the send lock.
        self.held = None
        self.lock = thread.allocate_lock()
        self.writer = None
        # Whether the server's loop reads here, and no more from the socket.
        self.is_read = False
        # How often the debugger has said something since.
        self.words = 0
        # Whether its silence is noticed by `watch`, and not by the system.
        self.is_watched = False

    def prepare(self):
        """Sets the options of the socket; each where there is such a thing."""
        tcp = getattr(socket, 'IPPROTO_TCP', 6)
        for level, option, value in (
            (tcp, 'TCP_NODELAY', 1),
            (socket.SOL_SOCKET, 'SO_KEEPALIVE', 1),
            (tcp, 'TCP_KEEPIDLE', 3),
            (tcp, 'TCP_KEEPINTVL', 1),
            (tcp, 'TCP_KEEPCNT', 4),
            (tcp, 'TCP_USER_TIMEOUT', 7000),
        ):
            try:
                self.socket.setsockopt(level, getattr(socket, option), value)
            except Exception:
                pass
        self.set_patience()
        self.close_on_exec()

    def set_patience(self):
        """Also for sends: a debugger that takes nothing is as dead as one that
        says nothing."""
        seconds = int(patience)
        try:
            if hasattr(self.socket, 'getpeercert'):
                # TLS tries again by itself whatever the system gives up.
                raise TypeError
            # The system's own limits. With Python's, a call of another thread
            # fails that began before they were set and goes on with them; and
            # TLS is not safe with them: a read and a write at once, of which
            # one is to be tried again, take each other's reason for that.
            pack = sys.modules['struct'].pack
            if sys.platform == 'win32':
                limit = pack('i', seconds * 1000)
            else:
                limit = pack('ll', seconds, 0)
            for option in ('SO_RCVTIMEO', 'SO_SNDTIMEO'):
                option = getattr(socket, option)
                self.socket.setsockopt(socket.SOL_SOCKET, option, limit)
        except Exception:
            self.is_watched = True

    def close_on_exec(self):
        """Python 2 lets every program that it starts inherit the socket."""
        try:
            debugger.ctypes.pythonapi.fcntl(self.socket.fileno(), 2, 1)
        except Exception:
            pass

    def has_ended(self):
        """Whether there is nothing more to read. Takes nothing away."""
        try:
            flags = socket.MSG_PEEK | socket.MSG_DONTWAIT
            # Below TLS, if there is any.
            below = getattr(self.socket, '_sock', None)
            if below is not None:
                return not below.recv(1, flags)
            return not socket.socket.recv(self.socket, 1, flags)
        except Exception:
            error = sys.exc_info()[1]
            return bool(error.args) and error.args[0] == ECONNRESET

    def recv(self, count):
        self.is_read = True
        while not world.closed:
            try:
                data = self.socket.recv(count)
            except Exception:
                error = sys.exc_info()[1]
                if error.args and error.args[0] == EINTR:
                    continue
                break
            if not data:
                break
            self.words += 1
            return data
        end_of_debugger()
        raise socket.error('ptvsd-bridge has gone')

    def send(self, data):
        self.sendall(data)
        return len(data)

    def sendall(self, data):
        if self.pieces is not None and self.writer == thread.get_ident():
            self.pieces.append(data)
        elif is_json and self.held is None:
            # The text of the message comes next, from the same thread: the
            # server sends the two under a lock.
            self.held = data
        else:
            held, self.held = self.held, None
            self.transmit([held, data])

    def begin(self):
        self.writer = thread.get_ident()
        self.pieces = []

    def drop(self):
        self.pieces = None

    def finish(self):
        pieces, self.pieces = self.pieces, None
        self.transmit(pieces)
        if self.writer in world.reports:
            world.reports[self.writer] = True

    def transmit(self, pieces):
        data = debugger.to_bytes('').join([piece for piece in pieces if piece])
        if not data:
            return
        try:
            locked(self.lock, lambda: self.socket.sendall(data))
        except Exception:
            # A thread that was about to print when the server detached.
            if not world.finished:
                raise

    def say_goodbye(self):
        """Everything was sent: lets the debugger see the end of it."""
        try:
            self.socket.shutdown(1)
        except Exception:
            pass

    def end(self):
        """Wakes whoever still reads."""
        try:
            self.socket.shutdown(2)
        except Exception:
            pass

    def close(self):
        """Nobody reads any more."""
        try:
            self.socket.close()
        except Exception:
            pass

    def __getattr__(self, name):
        return getattr(self.socket, name)


class Message(object):
    """Stands in for the server's `_SendLockCtx`: the writing of one message.

    A message that cannot be written is left out whole. The server's own would
    leave half of it on the wire, and detach.
    """

    def __enter__(self):
        writer = thread_of(thread.get_ident())
        if writer is not None:
            # Or else the server would stop in what the sending calls.
            writer.is_sending = True
        debugger.send_lock.acquire()
        wire.begin()

    def __exit__(self, kind, value, trace):
        if kind is None:
            try:
                wire.finish()
            except Exception:
                kind = socket.error
        wire.drop()
        if kind is None and world.finished and not is_json:
            # This was the confirmation of a detach, and the last message: not
            # the first piece of another that has waited for the lock, whose
            # last would go to the next debugger.
            wire.say_goodbye()
        debugger.send_lock.release()
        writer = thread_of(thread.get_ident())
        if writer is not None:
            writer.is_sending = False
        if kind is None:
            return None
        if issubclass(kind, socket.error) and not world.closed:
            cannot_send()
        return issubclass(kind, Exception)
