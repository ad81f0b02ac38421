# Strings, dictionaries and sorting over a text. `python3 text.py FILE`
import sys

with open(sys.argv[1], encoding="ascii") as file:
    words = file.read().split()
counts = {}
for word in words:
    counts[word] = counts.get(word, 0) + 1
ranking = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
joined = "-".join(word.title()[::-1].replace("a", "4") for word in words)
assert sum(count for _, count in ranking) == len(words)
print(f"{len(joined)}/{ranking[0][0]}/{joined.count('4')}")
