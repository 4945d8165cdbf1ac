# Runs a script as `python script.py` would, after starting a legacy debug
# server in this process. Works on every Python from 2.5 on, and on Jython.
#
#   python ptvsd_hosted.py SCRIPT ARGUMENTS...
#
# The server's settings come in environment variables, which the script does
# not get to see.
import os
import sys
import types


def setting(name):
    return os.environ.pop('PTVSD_TEST_' + name, None)


def stay_out_of_sight():
    # The server shows no frame of this file and never stops in it.
    # `run` is where the script begins; without that second entry a frame of
    # this file below the script would forbid every stop above it.
    try:
        import ptvsd.visualstudio_py_debugger as debugger
    except ImportError:
        import ptvsd.debugger as debugger
    debugger.DONT_DEBUG.append(os.path.normcase(run_code().co_filename))
    if hasattr(debugger, 'DEBUG_ENTRYPOINTS'):
        debugger.DEBUG_ENTRYPOINTS.add(run_code())


def start_server():
    import ptvsd
    port = int(setting('PORT'))
    wait = setting('WAIT')
    stay_out_of_sight()
    ptvsd.enable_attach(
        setting('SECRET'),
        address=(setting('ADDRESS') or '127.0.0.1', port),
        certfile=setting('CERTFILE'),
        keyfile=setting('KEYFILE'),
        redirect_output=setting('REDIRECT') != '0')
    # On the error stream: the other one is the script's from its first byte.
    sys.stderr.write('PTVSD-READY %d\n' % port)
    sys.stderr.flush()
    if wait:
        ptvsd.wait_for_attach()


def run_code():
    return getattr(run, '__code__', None) or run.func_code


def run(code, names):
    # Nothing is caught here: the server would take the script's exceptions
    # for handled ones.
    exec(code, names)


def new_main(script):
    module = types.ModuleType('__main__')
    module.__file__ = script
    module.__builtins__ = sys.modules.get('builtins') or sys.modules.get('__builtin__')
    if sys.version_info >= (2, 6):
        module.__package__ = None
    if sys.version_info >= (3, 3):
        from importlib.machinery import SourceFileLoader
        module.__loader__ = SourceFileLoader('__main__', script)
        module.__spec__ = None
        module.__cached__ = None
    return module


def read(script):
    if sys.version_info >= (3,):
        source = open(script, 'rb')
    else:
        source = open(script, 'U')
    try:
        text = source.read()
    finally:
        source.close()
    if sys.version_info < (2, 7):
        text += '\n'
    return text


def main():
    script = sys.argv[1]
    sys.argv[:] = sys.argv[1:]
    sys.path[0] = os.path.dirname(script)
    start_server()
    code = compile(read(script), script, 'exec', 0, True)
    module = new_main(script)
    # Python 2 empties a module that nobody holds, and this is ours.
    launcher = sys.modules['__main__']
    sys.modules['__main__'] = module
    run(code, module.__dict__)
    return launcher


main()
