import time


def count():
    numbers = list(range(1000))
    total = 0
    while True:
        for number in numbers:
            total += number  # HERE: begin
            double = total * 2
            rest = double - total
        time.sleep(0.01)


count()
