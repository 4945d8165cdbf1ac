# What the captured sessions debug. Its globals come with each frame list, so
# they are few; and none is a module, as that one's representation is a path.
from prepare import act


class Point(object):
    def __init__(self, x, y):
        self.x = x
        self.y = y


def work(count):
    point = Point(count, 2)
    items = [1, 'two', None]
    table = {'key': 1.5}
    text = u'caf\xe9'
    raw = b'caf\xe9'
    total = count + 1  # breakpoint
    total = total * 2
    return total


count = 0
while act():
    count = count + 1
    work(count)
