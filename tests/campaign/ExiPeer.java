// A line server around EXIficient: "schema NAME FILE", "encode NAME HEX-OF-XML", "decode NAME HEX-OF-EXI", and for
// EXI fragments "encode-fragment" and "decode-fragment" in the same way.
// Every request is answered by one line, "ok RESULT-IN-HEX" or "error REASON".
import com.siemens.ct.exi.core.EXIFactory;
import com.siemens.ct.exi.core.grammars.Grammars;
import com.siemens.ct.exi.core.helpers.DefaultEXIFactory;
import com.siemens.ct.exi.grammars.GrammarFactory;
import com.siemens.ct.exi.main.api.sax.EXIResult;
import com.siemens.ct.exi.main.api.sax.EXISource;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.StringReader;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import javax.xml.parsers.SAXParserFactory;
import javax.xml.transform.OutputKeys;
import javax.xml.transform.Transformer;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.stream.StreamResult;
import org.apache.xerces.xni.parser.XMLInputSource;
import org.xml.sax.InputSource;
import org.xml.sax.XMLReader;

public class ExiPeer {
    private final Map<String, Grammars> grammars = new HashMap<>();
    private final SAXParserFactory parsers = SAXParserFactory.newInstance();
    private final TransformerFactory transformers = TransformerFactory.newInstance();

    private ExiPeer() {
        parsers.setNamespaceAware(true);
    }

    private EXIFactory factory(String name, boolean fragment) {
        EXIFactory factory = DefaultEXIFactory.newInstance();
        factory.setFragment(fragment);
        factory.setGrammars(grammars.get(name));
        // No string table hits, as in the field.
        factory.setValueMaxLength(0);
        factory.setValuePartitionCapacity(0);
        return factory;
    }

    private byte[] answer(String command, String name, String argument) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        boolean fragment = command.endsWith("-fragment");
        if (command.equals("schema")) {
            // The XML signature schema has a DOCTYPE that would be fetched from the network.
            grammars.put(name, GrammarFactory.newInstance().createGrammars(argument, id -> {
                String file = id.getExpandedSystemId();
                return file == null || !file.startsWith("http") ? null
                    : new XMLInputSource(id.getPublicId(), file, id.getBaseSystemId(), new StringReader(""), "UTF-8");
            }));
        } else if (command.startsWith("encode")) {
            EXIResult result = new EXIResult(factory(name, fragment));
            result.setOutputStream(out);
            XMLReader reader = parsers.newSAXParser().getXMLReader();
            reader.setContentHandler(result.getHandler());
            // As characters: the parser's own reading of UTF-8 fails where four octets lie across its buffer's end.
            reader.parse(new InputSource(new StringReader(new String(bytes(argument), StandardCharsets.UTF_8))));
        } else if (command.startsWith("decode")) {
            EXISource source = new EXISource(factory(name, fragment));
            source.setInputSource(new InputSource(new ByteArrayInputStream(bytes(argument))));
            Transformer transformer = transformers.newTransformer();
            transformer.setOutputProperty(OutputKeys.OMIT_XML_DECLARATION, "yes");
            transformer.transform(source, new StreamResult(out));
        } else {
            throw new IllegalArgumentException("unknown command " + command);
        }
        return out.toByteArray();
    }

    private static byte[] bytes(String hex) {
        byte[] result = new byte[hex.length() / 2];
        for (int i = 0; i < result.length; i++) {
            result[i] = (byte) Integer.parseInt(hex, 2 * i, 2 * i + 2, 16);
        }
        return result;
    }

    private static String hex(byte[] data) {
        return data.length == 0 ? "" : String.format("%0" + 2 * data.length + "x", new BigInteger(1, data));
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream out = System.out;
        System.setOut(System.err); // libraries must not write between the answers
        ExiPeer peer = new ExiPeer();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ", 3);
            String result;
            try {
                result = "ok " + hex(peer.answer(words[0], words[1], words[2]));
            } catch (Exception problem) {
                result = "error " + String.valueOf(problem).replace('\n', ' ');
            }
            out.write((result + "\n").getBytes(StandardCharsets.UTF_8));
            out.flush();
        }
    }
}
