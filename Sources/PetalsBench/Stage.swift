internal import PetalsCore

/// One thing that is measured.
struct Stage: Sendable {
    /// What its figures are for.
    enum Unit: Sendable {
        /// A byte, of so many that one operation goes through.
        case bytes(Int)
        /// Something else, of which one operation does so many.
        case items(String, Int)
    }

    /// How the command line and the kept figures call it.
    let name: String
    /// What one operation is, in a few words.
    let title: String
    let unit: Unit
    /// Operations to count instructions of: enough that what else varies in a process does not
    /// matter; nil where threads or sockets make the count itself vary.
    let countedOperations: Int?
    /// Makes the inputs and hands the operation to the meter, once.
    let run: @Sendable (Meter) throws -> Void

    init(
        _ name: String, _ title: String, _ unit: Unit, counted: Int?,
        run: @escaping @Sendable (Meter) throws -> Void
    ) {
        self.name = name
        self.title = title
        self.unit = unit
        countedOperations = counted
        self.run = run
    }

    /// All stages, from the inside out.
    static let all = codec + frameCoder + wire + scheduler + store + node
}

/// Throws unless a stage did what it is measured for.
func require(_ condition: Bool, _ what: String) throws(PetalsError) {
    guard condition else {
        throw PetalsError(.system, "\(what); this is a fault of PetalsBench, please report it")
    }
}

/// The value, or throws where a stage did not do what it is measured for.
@discardableResult
func require<Value>(_ value: Value?, _ what: String) throws(PetalsError) -> Value {
    guard let value else {
        throw PetalsError(.system, "\(what); this is a fault of PetalsBench, please report it")
    }
    return value
}
