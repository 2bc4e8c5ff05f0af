#pragma once
// FUSE_USE_VERSION must be defined before the header; 312 is libfuse 3.12's API, which Debian 12's
// 3.14 serves.
#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>
