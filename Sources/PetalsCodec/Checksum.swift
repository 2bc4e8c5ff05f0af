internal import CISAL

/// The CRC-64 of ECMA-182, reflected, over `bytes`: tells whether the same bytes came again.
///
/// Not a proof: whoever wants to can make other bytes with the same sum. It takes a fifteenth of
/// the time of a SHA-256, so a publication can afford it for each time that it reads a file.
package func crc64(_ bytes: RawSpan) -> UInt64 {
    // SAFETY: ISA-L reads as many bytes as the count says, which is the span's own.
    unsafe bytes.withUnsafeBytes { buffer in
        guard let base = buffer.baseAddress else { return 0 }
        return unsafe crc64_ecma_refl(
            0, base.assumingMemoryBound(to: UInt8.self), UInt64(buffer.count))
    }
}

/// The CRC-64 of ECMA-182, reflected, over `bytes`.
package func crc64(_ bytes: [UInt8]) -> UInt64 {
    // SAFETY: a `UInt8` has no padding.
    unsafe crc64(bytes.span.bytes)
}
