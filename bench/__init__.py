"""What a relayed event costs: Penstock beside nginx, Envoy, sglang-router and LiteLLM, in one interleaved run.

`python -m bench --help` tells the parts and their options. Run it alone on the machine: one core is given to the
proxy under measurement and another to everything around it (origin, clients, this program).
"""
