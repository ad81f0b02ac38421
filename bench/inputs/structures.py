# A nested structure to JSON text and back. `python3 structures.py ROUNDS`
import json
import sys

# The C accelerator is not what is measured alone: the pure encoder runs too.
data = {f"key{i}": {"id": i, "name": f"item {i}", "tags": ["a", "b", str(i)], "ratio": i / 8, "none": None} for i in range(300)}
length = 0
for turn in range(int(sys.argv[1])):
    data["key0"]["id"] = turn
    text = json.dumps(data, indent=1 if turn % 2 else None, sort_keys=True)
    assert json.loads(text) == data
    length += len(text)
print(length)
