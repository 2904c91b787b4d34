"""The decoder's steps on CPUs with AVX512-VNNI, in C++, built on the machine that runs them (see `library`)."""
