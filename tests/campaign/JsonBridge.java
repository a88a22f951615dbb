// A line server around the JSON bridge of the package iso15118: "decode NAMESPACE HEX-OF-EXI", "encode NAMESPACE
// HEX-OF-JSON", answered by one line, "ok RESULT-IN-HEX" or "error REASON".
package com.siemens.ct.exi.main.cmd;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import javax.xml.bind.JAXBContext;
import javax.xml.bind.JAXBException;
import org.eclipse.persistence.jaxb.JAXBContextFactory;

public class JsonBridge extends AbstractEXICodec {
    // The bridge carries the classes of ACDP and WPT, and their grammars, but never registers the classes: every
    // message of theirs is refused. With them registered, as it does for DC, it shows the form that it would write.
    private static final EXICodec BRIDGE = new EXICodec();
    private static final JsonBridge REPAIRED = new JsonBridge();
    private static final JAXBContext ACDP = context(com.siemens.ct.exi.main.messages.iso15118_20.acdp.ObjectFactory.class);
    private static final JAXBContext WPT = context(com.siemens.ct.exi.main.messages.iso15118_20.wpt.ObjectFactory.class);

    private static JAXBContext context(Class<?> factory) {
        try {
            return JAXBContextFactory.createContext(new Class<?>[] {factory}, null);
        } catch (JAXBException error) {
            throw new IllegalStateException(error);
        }
    }

    public float get_version() {
        return BRIDGE.get_version();
    }

    private static byte[] answer(String command, String namespace, byte[] argument) throws Exception {
        boolean encoding = command.equals("encode");
        byte[] result;
        String error;
        if (namespace.endsWith("-20:ACDP") || namespace.endsWith("-20:WPT")) {
            boolean acdp = namespace.endsWith("ACDP");
            JAXBContext context = acdp ? ACDP : WPT;
            REPAIRED.setMarshaller(context.createMarshaller());
            REPAIRED.setUnmarshaller(context.createUnmarshaller());
            BuiltInSchema schema = acdp ? BuiltInSchema.ISO15118_20_V2G_CI_ACDP : BuiltInSchema.ISO15118_20_V2G_CI_WPT;
            result = encoding ? REPAIRED.encode_json(new String(argument, StandardCharsets.UTF_8), schema)
                : bytes(REPAIRED.decode_exi(argument, schema));
            error = encoding ? REPAIRED.lastEncodingError : REPAIRED.lastDecodingError;
        } else {
            result = encoding ? BRIDGE.encode(new String(argument, StandardCharsets.UTF_8), namespace)
                : bytes(BRIDGE.decode(argument, namespace));
            error = encoding ? BRIDGE.get_last_encoding_error() : BRIDGE.get_last_decoding_error();
        }
        if (result == null) {
            throw new Exception(error);
        }
        return result;
    }

    private static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream out = System.out;
        System.setOut(System.err); // the bridge prints what it does
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            StringBuilder reply = new StringBuilder();
            try {
                byte[] argument = new byte[words[2].length() / 2];
                for (int i = 0; i < argument.length; i++) {
                    argument[i] = (byte) Integer.parseInt(words[2].substring(2 * i, 2 * i + 2), 16);
                }
                reply.append("ok ");
                for (byte one : answer(words[0], words[1], argument)) {
                    reply.append(String.format("%02x", one));
                }
            } catch (Throwable error) {
                reply = new StringBuilder("error " + error).append(' ');
            }
            out.println(reply.toString().replaceAll("\\s+", " ").trim());
            out.flush();
        }
    }
}
