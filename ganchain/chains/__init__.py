"""Chains: the YAML that people write, checked, and the stages there are."""

from ganchain.chains.chain import Chain, Output, StageSpec, bundled, find, load, numbered, parse, schema

__all__ = ["Chain", "Output", "StageSpec", "bundled", "find", "load", "numbered", "parse", "schema"]
