# Objects, methods, attribute look-ups and lists: a small simulation of accounts. `python3 objects.py ROUNDS`
import sys


class Account:
    def __init__(self, number):
        self.number = number
        self.balance = 1000
        self.history = []

    def move(self, amount, other):
        if self.balance < amount:
            return False
        self.balance -= amount
        other.balance += amount
        self.history.append((other.number, amount))
        return True


class Savings(Account):
    def move(self, amount, other):
        return super().move(amount + 1, other) if amount % 7 else False


accounts = [(Savings if number % 3 == 0 else Account)(number) for number in range(200)]
state = 12345
moved = 0
for turn in range(int(sys.argv[1])):
    state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    giver = accounts[state % 200]
    taker = accounts[(state >> 8) % 200]
    moved += giver.move((state >> 16) % 100, taker)
assert sum(account.balance for account in accounts) == 200_000
assert sum(len(account.history) for account in accounts) == moved
print(moved)
