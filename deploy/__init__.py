"""Puts the lake on AWS and takes it away again: ``python -m deploy up --stage dev``. Not deployed itself.

names.py      what everything is called, from app and stage
functions.py  the functions: their layers, rights and starting modules
template.py   the two CloudFormation stacks: the data, and all that can be made again
policies.py   one IAM policy a function, from ``.chalice/policy-*.json``
package.py    the project as it is deployed: pinned dependencies, compiled, checked
layers.py     pyarrow and pandas for Lambda, trimmed, published once per content
refusals.py   what API Gateway says itself, in the API's shape
record.py     Chalice's record of what is deployed, kept in the lake
checks.py     what must hold before anything is made, and what it will cost
steps.py      each step of a deployment, in order
"""
