# -*- coding: utf-8 -*-
import sys
import time


class Point(object):
    def __init__(self, x, y):
        self.x = x
        self.y = y


def inner(value):
    doubled = value * 2  # HERE: inner
    return doubled


def work(number, label):
    numbers = list(range(1000))
    point = Point(number, label)
    text = u'caf\xe9'
    mapping = {'one': 1, 'two': [1, 2]}
    flag = True
    total = inner(number)  # HERE: call
    total += 1  # HERE: after
    print('tick %d' % number)  # HERE: print
    later = total
    return later


count = 0
while True:
    count += 1
    work(count, 'label')
    sys.stdout.flush()
    time.sleep(0.02)
