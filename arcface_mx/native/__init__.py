"""MXNet operators in C++, compiled on this machine the first time they are wanted. Optional."""
