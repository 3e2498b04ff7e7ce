"""Prints the YAML documents of a file as one line of JSON: a list. Arguments: the file."""

import json
import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    print(json.dumps(list(yaml.safe_load_all(file))))
