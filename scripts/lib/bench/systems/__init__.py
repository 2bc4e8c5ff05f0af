"""The systems that read the same files: one module each, one small interface."""

from bench.systems.btfs import Btfs
from bench.systems.juicefs import JuiceFS
from bench.systems.nginx import Nginx
from bench.systems.petalsfs import Petalsfs
from bench.systems.rclone import Rclone

ALL = (Petalsfs, Nginx, JuiceFS, Rclone, Btfs)
