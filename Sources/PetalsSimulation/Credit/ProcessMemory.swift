internal import Foundation

/// What this process has in memory, by the kernel's count.
enum ProcessMemory {
    static var residentBytes: Int {
        // The second number is that of resident pages; where there is no such file, nothing grows.
        let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        let fields = text?.split(separator: " ") ?? []
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4096 : 0
    }
}
