import json


class PartError(Exception):
    pass


def fails():
    raise PartError('part')  # HERE: part


def handles(action):
    try:
        action()
    except Exception:
        pass


def decode(text):
    return json.loads(text)  # HERE: decode
