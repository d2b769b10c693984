import Foundation
import Testing

@testable import EventClient

@Suite struct DaemonStatusTests {
    /// A healthy daemon's reply with one source, whose members can be replaced.
    private func status(_ source: String = "", _ daemon: String = "") throws -> DaemonStatus {
        func merged(_ base: String, _ changes: String) throws -> [String: Any] {
            func object(_ text: String) throws -> [String: Any] {
                try #require(try JSONSerialization.jsonObject(with: Data("{\(text)}".utf8)) as? [String: Any])
            }
            return try object(base).merging(try object(changes)) { $1 }
        }
        var whole = try merged(
            #"""
            "version":"0.1.0","model":"m","labels":2,"time":"2026-11-21T10:00:00.000Z","uptime_seconds":7384.2,
            "reload_problem":null,"server":{"clients":3,"missed":0}
            """#, daemon)
        if whole["sources"] == nil {
            whole["sources"] = [
                try merged(
                    #"""
                    "name":"mic","device":"alsa:default","state":"up","opening":"alsa:default: opened","problem":null,
                    "audio_seconds":7380,"events":12,"gaps":1,"lost_seconds":0.5,"backlog_seconds":0.02,
                    "level_dbfs":-41.26,"last_gap":"2026-11-21T09:00:00.000Z"
                    """#, source)
            ]
        }
        return try DaemonStatus(json: try JSONSerialization.data(withJSONObject: whole))
    }

    private func problems(_ source: String = "", _ daemon: String = "") throws -> [String] {
        try status(source, daemon).problems(DaemonStatus.Limits())
    }

    @Test func healthyDaemonHasNoProblem() throws {
        #expect(try problems() == [])
        #expect(try problems(#""backlog_seconds":2"#) == [])
        #expect(try problems(#""level_dbfs":null,"last_gap":null"#) == [])
    }

    @Test(arguments: ["down", "silent", "ended", "starting", "stalled"]) func otherStatesAreProblems(state: String)
        throws
    {
        #expect(try problems(#""state":"\#(state)""#) == ["source mic is \(state)"])
        #expect(
            try problems(#""state":"\#(state)","problem":"No such device""#)
                == ["source mic is \(state): No such device"])
    }

    @Test func eachReasonIsOneLine() throws {
        #expect(
            try problems(#""backlog_seconds":2.51"#)
                == ["source mic: 2.5 s of audio wait for inference (limit 2 s)"])
        #expect(
            try problems(#""last_gap":"2026-11-21T09:50:01.000Z""#)
                == ["source mic: audio was lost 599 s ago (1 gaps, 0.5 s since the start)"])
        #expect(try problems(#""last_gap":"2026-11-21T09:49:59.000Z""#) == [])
        #expect(
            try problems("", #""reload_problem":"labels.txt:2: no""#) == ["the last reload failed: labels.txt:2: no"])
        #expect(
            try problems("", #""store":{"state":"full","path":"/e.db","problem":"no room"}"#)
                == ["the event store takes no events (full): no room"])
        #expect(try problems("", #""store":{"state":"off"}"#) == [])
        #expect(try problems("", #""store":{"state":"ok","path":"/e.db","problem":null,"size_bytes":4096}"#) == [])
        #expect(try problems("", #""sources":[]"#) == ["there is no source"])
        #expect(try problems(#""state":"down","backlog_seconds":9"#, #""reload_problem":"x""#).count == 3)
    }

    @Test func limitsAreTheCallers() throws {
        var limits = DaemonStatus.Limits()
        limits.window = 3600
        limits.backlog = 0.01
        #expect(try status().problems(limits).count == 2)
    }

    @Test func summaryIsForPeople() throws {
        let lines = try status(
            "",
            #""muted":[{"labels":"dog*","seconds":59.5,"withheld":0}],"thresholds":{"wood_knock":0.5},"#
                + #""store":{"state":"ok","path":"/e.db","size_bytes":8192,"not_stored":0,"problem":null}"#
        )
        .summary
        #expect(
            lines == [
                "earshotd 0.1.0, model m, 2 labels, up for 2 h 3 min",
                "mic: up, 2 h 3 min of audio, 12 events, 1 gaps (0.5 s lost), backlog 0 s, level -41.3 dBFS",
                "    alsa:default: opened", "clients: 3, 0 messages missed by slow ones since the start",
                "store: /e.db, 8 KiB, 0 messages not stored",
                "muted: dog* for 1 min 0 s", "threshold of wood_knock: 0.5 until the next reload",
            ])
        #expect(DaemonStatus.length(4) == "4 s" && DaemonStatus.length(200_000) == "2 d 7 h")
    }

    /// An older or newer daemon's reply is understood as far as it goes.
    @Test func membersMayBeMissing() throws {
        let json = #"{"version":"1","model":"m","labels":1,"sources":[{"name":"a","device":"-","state":"up"}],"new":1}"#
        let status = try DaemonStatus(json: Data(json.utf8))
        #expect(status.problems(DaemonStatus.Limits()) == [])
        #expect(status.summary.first == "earshotd 1, model m, 1 labels")
        #expect(throws: (any Error).self) { try DaemonStatus(json: Data("{}".utf8)) }
    }
}
