"""Chains in YAML, checked against the options of the stages that exist."""

from ganchain.chains.chain import Chain, Output, StageSpec, bundled, find, load, numbered, parse
from ganchain.chains.json_schema import schema

__all__ = ["Chain", "Output", "StageSpec", "bundled", "find", "load", "numbered", "parse", "schema"]
