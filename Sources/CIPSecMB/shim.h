#pragma once
#include <intel-ipsec-mb.h>
#include <stdbool.h>
#include <string.h>

/// How many messages AVX-512 hashes side by side.
#define PETALS_LANES 16

/// A manager whose SHA-256 runs in lanes of AVX-512; NULL where the processor has none, or where
/// there is no memory. `free_mb_mgr` frees it.
static inline IMB_MGR *petals_lanes_make(void) {
    IMB_MGR *const manager = alloc_mb_mgr(0);
    if (manager == NULL) return NULL;
    IMB_ARCH arch = IMB_ARCH_NONE;
    init_mb_mgr_auto(manager, &arch);
    if (arch == IMB_ARCH_AVX512) return manager;
    free_mb_mgr(manager);
    return NULL;
}

/// The SHA-256 of each of `count` messages of `length` bytes, which begin `stride` bytes apart;
/// `digests` takes 32 bytes of each. False where the library refuses, and then nothing is left in
/// the manager.
static inline bool petals_lanes_sha256(
    IMB_MGR *manager, const unsigned char *messages, size_t stride, size_t length, size_t count,
    unsigned char *digests) {
    size_t done = 0;
    for (size_t index = 0; index < count; index++) {
        IMB_JOB *job = IMB_GET_NEXT_JOB(manager);
        memset(job, 0, sizeof *job);
        job->cipher_mode = IMB_CIPHER_NULL;
        job->cipher_direction = IMB_DIR_ENCRYPT;
        job->chain_order = IMB_ORDER_HASH_CIPHER;
        job->hash_alg = IMB_AUTH_SHA_256;
        job->src = messages + index * stride;
        job->msg_len_to_hash_in_bytes = length;
        job->auth_tag_output = digests + index * IMB_SHA256_DIGEST_SIZE_IN_BYTES;
        job->auth_tag_output_len_in_bytes = IMB_SHA256_DIGEST_SIZE_IN_BYTES;
        for (job = IMB_SUBMIT_JOB(manager); job != NULL; job = IMB_GET_COMPLETED_JOB(manager)) {
            done += job->status == IMB_STATUS_COMPLETED;
        }
    }
    for (IMB_JOB *job = IMB_FLUSH_JOB(manager); job != NULL; job = IMB_FLUSH_JOB(manager)) {
        done += job->status == IMB_STATUS_COMPLETED;
    }
    return done == count;
}
