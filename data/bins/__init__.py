"""Verification sets (.bin): reading them safely, writing them."""
