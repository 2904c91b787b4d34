"""The decoder's steps on x86-64 CPUs, in C++, built on the machine that runs them (see `library`)."""
