# Stands in for python:3.11-slim where no registry can be reached: base.tar is a Debian by debootstrap (builder.py).
FROM scratch
ADD base.tar /
