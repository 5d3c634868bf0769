"""Loaded by pytest with ``-p`` before any other plugin: patches first, as the launcher does in production."""

from gevent import monkey

monkey.patch_all()
