#pragma once
// FUSE_USE_VERSION must be defined before the header; 312 is libfuse 3.12's API, which Debian 12's
// 3.14 serves.
#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>

// Swift cannot see function macros, and which of these are macros depends on the libfuse release
// and on whether the platform has versioned symbols. So each is given a plain name here.

static inline struct fuse_session *petals_session_new(
    struct fuse_args *args, const struct fuse_lowlevel_ops *ops, void *userdata) {
    return fuse_session_new(args, ops, sizeof(*ops), userdata);
}

/// Answers requests on up to `threads` threads until the mount is gone; 0 or a negative errno.
static inline int petals_session_loop(struct fuse_session *session, unsigned threads) {
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    if (config == 0) return -12; /* ENOMEM */
    fuse_loop_cfg_set_clone_fd(config, 1);
    fuse_loop_cfg_set_max_threads(config, threads);
    fuse_loop_cfg_set_idle_threads(config, threads);
    int result = fuse_session_loop_mt(session, config);
    fuse_loop_cfg_destroy(config);
    return result;
}
