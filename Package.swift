// swift-tools-version:6.1
import PackageDescription

// With EARSHOT_FUZZ set, as `make fuzz` does, the fuzz targets become a program with libFuzzer in it, and this package's
// own modules report their coverage to it. Else they are part of the tests, which replay the kept inputs.
let isFuzzing = Context.environment["EARSHOT_FUZZ"] != nil
let fuzzingFlags: [SwiftSetting] = isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer", "-enable-testing"])] : []

// Warnings are errors in continuous integration (see .ci/run), not for users on newer compilers.
let settings: [SwiftSetting] =
    fuzzingFlags + [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ]

/// A target of this package, with the settings that all of them share.
func target(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func executable(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

func test(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies + ["TestSupport"], resources: resources,
        swiftSettings: settings)
}

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let grdbSQLite = Target.Dependency.product(name: "GRDBSQLite", package: "GRDB.swift")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioLocks = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioHTTP = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

/// See `isFuzzing`.
let fuzzing: Target = {
    let dependencies: [Target.Dependency] = [
        "AudioCapture", "AudioEmbedding", "DaemonConfiguration", "EventMessages", "EventServer", "Labels", logging,
        nioCore, "TensorKernels", "TestSupport",
    ]
    if isFuzzing {
        return .executableTarget(
            name: "Fuzzer", dependencies: dependencies, path: "Tests/Fuzzing",
            exclude: ["Corpus", "Dictionaries", "CorpusTests.swift"], swiftSettings: settings,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])])
    }
    return .testTarget(
        name: "FuzzingTests", dependencies: dependencies, path: "Tests/Fuzzing",
        exclude: ["Corpus", "Dictionaries", "Fuzzer.swift"], swiftSettings: settings)
}()

let package = Package(
    name: "earshot",
    products: [
        .executable(name: "earshotd", targets: ["earshotd"]),
        .executable(name: "earshot", targets: ["earshot"]),
        .executable(name: "KernelBenchmarks", targets: ["KernelBenchmarks"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.5.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
    ],
    targets: [
        // C libraries: module maps only.
        .systemLibrary(name: "CALSA", pkgConfig: "alsa", providers: [.apt(["libasound2-dev"])]),
        .systemLibrary(name: "CFFTW", pkgConfig: "fftw3f", providers: [.apt(["libfftw3-dev"])]),
        .systemLibrary(name: "CMosquitto", pkgConfig: "libmosquitto", providers: [.apt(["libmosquitto-dev"])]),
        .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
        .systemLibrary(name: "CSndfile", pkgConfig: "sndfile", providers: [.apt(["libsndfile1-dev"])]),
        .systemLibrary(name: "CSoxr", pkgConfig: "soxr", providers: [.apt(["libsoxr-dev"])]),
        .systemLibrary(name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        .systemLibrary(name: "CFloatEnvironment"),

        // Numeric core.
        target("TensorKernels", ["COpenBLAS", "CFloatEnvironment"]),
        target("AudioFeatures", ["TensorKernels", "CFFTW"]),
        target("AudioEmbedding", ["TensorKernels", "AudioFeatures"]),
        target("OptimalTransport", ["TensorKernels"]),

        // Edges.
        target("Labels"),
        target("EventDetection"),
        target("AudioCapture", ["CALSA", "CSndfile", "CSoxr"]),
        target("Evaluation", ["TensorKernels"]),
        target("EventMessages"),
        target("EventServer", ["EventMessages", nioCore, nioPosix, nioLocks, logging]),
        target("EventStore", ["EventMessages", grdb, grdbSQLite, nioLocks, logging]),
        target("MQTTPublisher", ["EventMessages", "CMosquitto", nioLocks, logging]),
        target("MetricsServer", ["EventServer", nioCore, nioPosix, nioHTTP, nioLocks, logging]),
        target("EventClient", [nioCore, nioPosix]),
        target("DaemonConfiguration", ["Labels", yams]),

        // Wiring.
        target(
            "DetectionPipeline",
            [
                "TensorKernels", "AudioFeatures", "AudioEmbedding", "OptimalTransport", "Labels", "EventDetection",
                "AudioCapture",
            ]),
        target(
            "Diagnosis",
            [
                "AudioCapture", "AudioEmbedding", "AudioFeatures", "DaemonConfiguration", "DetectionPipeline",
                "EventClient", "EventStore", "Labels", "TensorKernels",
            ]),
        // With modules that it does not import but whose types are stored in those of DetectionPipeline: else it is not built
        // again when their layout changes, and breaks its heap.
        executable(
            "earshotd",
            [
                "DetectionPipeline", "AudioCapture", "AudioEmbedding", "AudioFeatures", "DaemonConfiguration",
                "EventDetection", "EventMessages", "EventServer", "EventStore", "Labels", "MQTTPublisher",
                "MetricsServer", "OptimalTransport", "TensorKernels", "CSystemd", logging, argumentParser,
            ]),
        executable(
            "earshot",
            [
                "DetectionPipeline", "AudioCapture", "AudioEmbedding", "AudioFeatures", "DaemonConfiguration",
                "Diagnosis", "EventClient", "EventDetection", "EventMessages", "EventStore", "Evaluation", "Labels",
                "OptimalTransport", "TensorKernels",
                argumentParser,
            ]),
        executable("DemoSynthesizer", ["CSndfile"]),
        executable(
            "StressTest",
            [
                "AudioCapture", "EventClient", "EventMessages", "EventServer", "EventStore", nioCore, nioPosix, logging,
                argumentParser,
            ]),
        executable("KernelBenchmarks", ["TensorKernels", "AudioFeatures", "AudioEmbedding", "OptimalTransport"]),

        // Tests.
        target("TestSupport", ["TensorKernels", "AudioEmbedding"]),
        test("TensorKernels", ["TensorKernels"]),
        test("AudioFeatures", ["AudioFeatures", "AudioEmbedding", "TensorKernels"], resources: [.copy("Golden")]),
        test("AudioEmbedding", ["AudioEmbedding", "AudioFeatures", "TensorKernels"], resources: [.copy("Golden")]),
        test("OptimalTransport", ["OptimalTransport", "TensorKernels"], resources: [.copy("Golden")]),
        test("Labels", ["Labels"]),
        test("EventDetection", ["EventDetection"]),
        test("AudioCapture", ["AudioCapture", "CSndfile"]),
        test("Evaluation", ["Evaluation", "TensorKernels"], resources: [.copy("Golden")]),
        test("EventServer", ["EventMessages", "EventServer", "EventStore", logging, nioCore]),
        test("MetricsServer", ["MetricsServer", "EventServer", logging]),
        test("EventClient", ["EventClient", "EventMessages", "EventServer", logging, nioCore]),
        test("EventMessages", ["EventMessages"]),
        test("EventStore", ["EventMessages", "EventStore", grdb, logging]),
        test("MQTTPublisher", ["EventMessages", "MQTTPublisher"]),
        test("DaemonConfiguration", ["DaemonConfiguration"]),
        test(
            "DetectionPipeline",
            [
                "DetectionPipeline", "AudioCapture", "AudioEmbedding", "AudioFeatures", "EventDetection", "Labels",
                "OptimalTransport", "TensorKernels",
            ]),
        test("Diagnosis", ["Diagnosis", "DaemonConfiguration", "EventClient"]),
        test("EndToEnd", [grdb]),
        fuzzing,
    ]
)
