internal import Glibc
package import Logging
package import PetalsCore

extension PetalsError.Code {
    /// What a program that reads is told, and how loudly the log says it.
    ///
    /// This is the only place that maps errors to error numbers. There is no `default`, so that a
    /// new code does not compile until somebody has thought about it.
    private var answer: (errno: Errno, level: Logger.Level) {
        switch self {
        case .badInput: (.invalid, .warning)
        case .notFound: (.notFound, .warning)
        case .corrupt: (.inputOutput, .error)
        case .limitExceeded: (.inputOutput, .error)
        case .busy: (Errno(rawValue: EBUSY), .warning)
        case .unavailable: (.inputOutput, .warning)
        case .timedOut: (.inputOutput, .warning)
        case .cancelled: (.interrupted, .debug)
        case .noSpace: (Errno(rawValue: ENOSPC), .error)
        case .system: (.inputOutput, .error)
        case .unsupportedVersion: (Errno(rawValue: ENOTSUP), .error)
        case .protocolViolation: (.inputOutput, .error)
        }
    }

    /// The error number that the reading program sees.
    package var errno: Errno { answer.errno }

    /// The level of the log line that goes with it.
    package var logLevel: Logger.Level { answer.level }
}
