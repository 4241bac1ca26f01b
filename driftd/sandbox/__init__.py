"""The sandbox: every engine that Git content or users' rules can drive runs in a worker
process without files, network and credentials.
"""
