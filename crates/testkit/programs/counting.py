def count():
    numbers = list(range(1000))
    total = 0
    while True:
        total += 1  # HERE: begin
        double = total * 2
        rest = double - total


count()
