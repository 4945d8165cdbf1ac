"""What each `try` of the standard library handles, as this Python's own parser
has it, and the lines that its compiler makes code for. One line of JSON a file:
its path, and its ranges and lines or why there are none.
"""

import ast
import dis
import io
import json
import os
import sys
import tokenize

COMPOUND = tuple(
    getattr(ast, name)
    for name in (
        'If For While With FunctionDef ClassDef Try TryExcept TryFinally TryStar'
        ' AsyncFor AsyncWith AsyncFunctionDef Match'
    ).split()
    if hasattr(ast, name)
)
WITH_HANDLERS = tuple(
    getattr(ast, name) for name in ('Try', 'TryExcept', 'TryStar') if hasattr(ast, name)
)
# What is no code. Python 2's tokenizer has no names for some.
NO_CODE = set(
    getattr(tokenize, name)
    for name in 'COMMENT NL NEWLINE INDENT DEDENT ENDMARKER ENCODING'.split()
    if hasattr(tokenize, name)
)


class LastLines(object):
    """The line that the code before a given line ends on."""

    def __init__(self, source):
        self.source = source
        self.ends = None

    def before(self, line):
        if self.ends is None:
            readline = io.BytesIO(self.source).readline
            tokens = getattr(tokenize, 'generate_tokens')
            if sys.version_info[0] > 2:
                tokens = tokenize.tokenize
            self.ends = []
            for kind, _, begin, end, _ in tokens(readline):
                if kind not in NO_CODE:
                    self.ends.append((begin[0], end[0]))
        return max(end for begin, end in self.ends if begin < line)


def dotted(node):
    if isinstance(node, ast.Attribute):
        value = dotted(node.value)
        return value and value + '.' + node.attr
    if isinstance(node, ast.Name):
        return node.id
    return None


def names(node):
    items = node.elts if isinstance(node, ast.Tuple) else [node]
    return [name for name in map(dotted, items) if name]


def end_line(statement, last_lines):
    last = statement.body[-1]
    line = getattr(last, 'end_lineno', None)
    if line is None:
        line = last_lines.before(statement.handlers[0].lineno)
    return line + (2 if isinstance(last, COMPOUND) else 1)


def ranges(source, path):
    last_lines = LastLines(source)
    found = []
    for node in ast.walk(compile(source, path, 'exec', ast.PyCF_ONLY_AST)):
        if isinstance(node, WITH_HANDLERS) and node.handlers:
            expressions = []
            for handler in node.handlers:
                if handler.type is None:
                    expressions = ['*']
                    break
                expressions.extend(names(handler.type))
            if expressions:
                found.append([node.lineno, end_line(node, last_lines), expressions])
    return sorted(found)


def lines(source, path):
    found = set()
    codes = [compile(source, path, 'exec')]
    while codes:
        code = codes.pop()
        found.update(line for _, line in dis.findlinestarts(code))
        codes.extend(value for value in code.co_consts if isinstance(value, type(code)))
    # Instructions that are no line's.
    return sorted(found - set([0, None]))


def python_files(folder):
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - set(['site-packages', 'dist-packages', '__pycache__']))
        for name in sorted(files):
            if name.endswith('.py'):
                yield os.path.join(here, name)


def main():
    for path in python_files(os.path.dirname(os.__file__)):
        with io.open(path, 'rb') as file:
            source = file.read()
        answer = {'path': path}
        try:
            answer['ranges'] = ranges(source, path)
            answer['lines'] = lines(source, path)
        except Exception as error:
            answer['error'] = '%s: %s' % (type(error).__name__, error)
        sys.stdout.write(json.dumps(answer) + '\n')


main()
