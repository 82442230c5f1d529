"""Published pair lists and the verification sets made from them."""
